// An ESME made with node-smpp: does what its scenario says, and tells what came back, as JSON.
//
// node client.js '{"port": 2775, "bind": "transceiver", "login": {...}, "submits": [{...}], "receipts": 1, "texts": 0}'
// `asks` are further requests, one after the other once every submit is answered:
// {"command": "cancel_sm", "of": 0, "fields": {...}}, with the message_id that submit 0 was given unless "of" is missing
// or is the text "ask": then that of the first of them.
// Ends with code 0 when everything is answered and that many receipts and texts have come; 1 after `silence_s`.

"use strict";

const smpp = require("smpp");

const scenario = JSON.parse(process.argv[2]);
const MESSAGE_TYPE = 0x3c;
const RECEIPT = 0x04;
const asks = scenario.asks || [];
const report = { bind: null, responses: [], asks: [], receipts: [], texts: [], unbind: null, errors: [] };

function finish(code) {
  process.stdout.write(JSON.stringify(report) + "\n", () => process.exit(code));
}

function fail(reason) {
  report.errors.push(String(reason));
  finish(1);
}

function delivered(pdu) {
  const found = {
    command: pdu.command,
    source: pdu.source_addr,
    destination: pdu.destination_addr,
    data_coding: pdu.data_coding,
    text: (pdu.short_message || pdu.message_payload).message,
    receipted_message_id: pdu.receipted_message_id,
    message_state: pdu.message_state,
  };
  const type = pdu.esm_class & MESSAGE_TYPE;
  (type === RECEIPT ? report.receipts : report.texts).push(found);
}

setTimeout(() => fail("silence"), scenario.silence_s * 1000).unref();

const session = smpp.connect({ host: "127.0.0.1", port: scenario.port });
let unbinding = false;

function complete() {
  return (
    report.responses.length === scenario.submits.length &&
    report.asks.length === asks.length &&
    report.receipts.length >= scenario.receipts &&
    report.texts.length >= scenario.texts
  );
}

function ask() {
  const { command, of, fields } = asks[report.asks.length];
  const submitted =
    of === "ask" ? report.asks[0] : report.responses.find((response) => response.number === of);
  const named = submitted ? { message_id: submitted.message_id } : {};
  session[command]({ ...named, ...fields }, (answer) => {
    report.asks.push({
      command: answer.command,
      status: answer.command_status,
      message_id: answer.message_id,
      message_state: answer.message_state,
      error_code: answer.error_code,
      final: Boolean(answer.final_date),
      unsuccess: answer.unsuccess_sme,
    });
    if (report.asks.length < asks.length) {
      ask();
    }
    next();
  });
}

function next() {
  if (complete() && !unbinding) {
    unbinding = true;
    session.unbind({}, (answer) => {
      report.unbind = answer.command_status;
      session.close(() => finish(0));
    });
  }
}

session.on("error", fail);
session.on("close", () => unbinding || fail("closed"));
for (const command of ["deliver_sm", "data_sm"]) {
  session.on(command, (pdu) => {
    delivered(pdu);
    session.send(pdu.response());
    next();
  });
}
session.on("enquire_link", (pdu) => session.send(pdu.response()));

session.on("connect", () => {
  session["bind_" + scenario.bind](scenario.login, (answer) => {
    report.bind = {
      status: answer.command_status,
      system_id: answer.system_id,
      version: answer.sc_interface_version,
    };
    if (answer.command_status !== 0) {
      unbinding = true;
      finish(0);
      return;
    }
    if (!scenario.submits.length && asks.length) {
      ask();
    }
    scenario.submits.forEach((fields, number) => {
      session.submit_sm(fields, (response) => {
        report.responses.push({
          number,
          status: response.command_status,
          message_id: response.message_id,
        });
        if (report.responses.length === scenario.submits.length && asks.length) {
          ask();
        }
        next();
      });
    });
    next();
  });
});

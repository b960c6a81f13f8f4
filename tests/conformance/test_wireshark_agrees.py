"""Wireshark's dissector reads the same out of our PDUs as we put in."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smsgw.smpp.codec import encode
from smsgw.smpp.constants import RESPONSE, Command, Status, Tag
from smsgw.smpp.fields import COctets, Int, Many, Octets, Tlvs, table
from smsgw.smpp.pdu import (
    CLASSES,
    BindTransceiverResp,
    BroadcastSm,
    CancelBroadcastSmResp,
    CancelSmResp,
    DataSm,
    DeliverSm,
    DistributionList,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    QuerySmResp,
    ReplaceSmResp,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    UnsuccessSme,
)
from smsgw.smpp.times import format_absolute, format_relative, parse_time
from smsgw.smpp.tlv import SHAPES
from smsgw.testing.pcap import SMPP_PORT, write

# Operations of 3.3 alone, which the dissector does not know.
UNKNOWN_TO_WIRESHARK = {
    command
    for name in ("PARAM_RETRIEVE", "QUERY_LAST_MSGS", "QUERY_MSG_DETAILS")
    for command in (Command[name], Command[f"{name}_RESP"])
}
# Fields that it shows in another form; each has a test of its own below.
SHOWN_OTHERWISE = {
    "esm_class",
    "registered_delivery",
    "data_coding",
    "schedule_delivery_time",
    "validity_period",
    "final_date",
    "short_message",
    "tlvs",
    "dest_addresses",
    "unsuccess_sme",
}
# Responses in which it looks for no TLVs; 5.0 allows congestion_state in any.
TLVS_NOT_SHOWN = {QuerySmResp, CancelSmResp, ReplaceSmResp, CancelBroadcastSmResp}

Shown = dict[str, list[str]]


def dissect(path: Path, pdus: Sequence[Pdu]) -> list[Shown]:
    """What tshark shows of each PDU: name of a field without ``smpp.`` -> its values in order."""
    tshark = shutil.which("tshark")
    if tshark is None:
        reason = "tshark is not installed (Debian: apt-get install tshark)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    write(path, [encode(pdu) for pdu in pdus])
    command = [tshark, "-r", str(path), "-d", f"tcp.port=={SMPP_PORT},smpp", "-T", "json"]
    command += ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command += ["-J", "smpp tcp ip", "--no-duplicate-keys"]
    home = {"HOME": str(path.parent), "TZ": "UTC", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, env=home, timeout=60, check=True)
    shown = []
    for packet in json.loads(done.stdout):
        layers = packet["_source"]["layers"]
        assert layers["ip"]["ip.checksum.status"] == "1", "pcap.write makes bad IP checksums"
        assert layers["tcp"]["tcp.checksum.status"] == "1", "pcap.write makes bad TCP checksums"
        shown.append(flat(layers.get("smpp", {})))
    assert len(shown) == 3 + len(pdus)
    return shown[3:]


def flat(tree: Any) -> Shown:
    """The leaves of a JSON tree by name."""
    found: Shown = {}

    def walk(name: str, node: Any) -> None:
        if isinstance(node, dict):
            for key, below in node.items():
                walk(key, below)
        elif isinstance(node, list):
            for below in node:
                walk(name, below)
        else:
            found.setdefault(name.removeprefix("smpp."), []).append(node)

    walk("", tree)
    return found


def number(text: str) -> int:
    return int(text, 0)


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def example(cls: type[Pdu], sequence: int) -> Pdu:
    """A PDU with every field filled, each with a value of its own."""
    fields: dict[str, Any] = {}
    for place, (name, wire) in enumerate(table(cls), 1):
        if isinstance(wire, Int):
            fields[name] = place
        elif isinstance(wire, COctets):
            fields[name] = (b"%d-" % place + name.encode())[: wire.limit - 1]
        elif isinstance(wire, Octets):
            fields[name] = b"text of the message"
        elif isinstance(wire, Tlvs):
            fields[name] = [(Tag.USER_MESSAGE_REFERENCE, b"\x12\x34"), (0x1401, b"vendor")]
        elif isinstance(wire, Many) and wire.kind == "destination":
            fields[name] = [SmeAddress(1, 8, b"44770"), DistributionList(b"staff")]
        elif isinstance(wire, Many) and wire.kind == "unsuccess":
            fields[name] = [UnsuccessSme(1, 8, b"44770", Status.ESME_RINVDSTADR)]
    for name in ("schedule_delivery_time", "validity_period", "final_date"):
        if name in fields:
            fields[name] = b"260314101600004+"
    if "replace_if_present_flag" in fields:
        fields["replace_if_present_flag"] = 1  # it shows one bit of it
    return cls(sequence=sequence, **fields)


KNOWN = [cls for command, cls in CLASSES.items() if command not in UNKNOWN_TO_WIRESHARK]


def test_every_known_class(tmp_path: Path) -> None:
    """Header, integers, strings and TLVs of every PDU are shown as they were put in."""
    pdus = [example(cls, 100 + place) for place, cls in enumerate(KNOWN)]
    for pdu, shown in zip(pdus, dissect(tmp_path / "all.pcap", pdus), strict=True):
        assert "_ws.malformed" not in shown, pdu
        assert number(shown["command_id"][0]) == pdu.COMMAND
        assert number(shown["command_length"][0]) == len(encode(pdu))
        assert number(shown["sequence_number"][0]) == pdu.sequence
        for name, wire in table(type(pdu)):
            if name in SHOWN_OTHERWISE:
                continue
            values = shown.get(name, [])
            assert values, (pdu, name)
            value = getattr(pdu, name)
            if isinstance(wire, Int):
                assert number(values[0]) == value, (pdu, name)
            else:
                assert values[0] == value.decode(), (pdu, name)
        if hasattr(pdu, "tlvs"):
            if type(pdu) in TLVS_NOT_SHOWN:
                assert "opt_param_tag" not in shown
                continue
            assert [number(tag) for tag in shown["opt_param_tag"]] == [tag for tag, _ in pdu.tlvs]
            assert [number(length) for length in shown["opt_param_len"]] == [2, 6]
            assert number(shown["user_message_reference"][0]) == 0x1234
            assert octets(shown["vendor_op"][0]) == b"vendor"


def test_operations_of_33_are_unknown(tmp_path: Path) -> None:
    """The list of what the dissector does not know is true."""
    pdus = [example(CLASSES[command], 1) for command in sorted(UNKNOWN_TO_WIRESHARK)]
    assert dissect(tmp_path / "33.pcap", pdus) == [{}] * len(pdus)


def test_statuses(tmp_path: Path) -> None:
    """Statuses of responses, with and without a body."""
    pdus: list[Pdu] = [
        cls(sequence=5, status=Status.ESME_RTHROTTLED) for cls in KNOWN if cls.COMMAND & RESPONSE
    ]
    pdus += [GenericNack(6, status) for status in Status if status]
    pdus += [SubmitSmResp(7, 0, message_id=b"x"), EnquireLinkResp(8, 0), SubmitSmResp(9, 0x434)]
    for pdu, shown in zip(pdus, dissect(tmp_path / "status.pcap", pdus), strict=True):
        assert "_ws.malformed" not in shown, pdu
        assert number(shown["command_status"][0]) == pdu.status


def test_bit_fields_and_text(tmp_path: Path) -> None:
    """esm_class, registered_delivery, data_coding and the message."""
    pdus = [
        SubmitSm(
            sequence=1,
            esm_class=esm_class,
            registered_delivery=registered,
            data_coding=coding,
            short_message=text,
        )
        for esm_class, registered, coding, text in [
            (0x00, 0x00, 0x00, b""),
            (0x03, 0x01, 0x08, "Zażółć".encode("utf-16-be")),
            (0xC3, 0x1F, 0x00, b"\x05\x00\x03\x5a\x03\x02part two"),
            (0x40, 0x12, 0x04, b"\x06\x05\x04\x0b\x84\x23\xf0" + bytes(range(100))),
            (0x08, 0x05, 0xF0, b"x" * 254),
        ]
    ]
    for pdu, shown in zip(pdus, dissect(tmp_path / "bits.pcap", pdus), strict=True):
        esm = [
            number(shown[f"esm.submit.{part}"][0]) for part in ("msg_mode", "msg_type", "features")
        ]
        assert esm == [pdu.esm_class & 3, pdu.esm_class >> 2 & 15, pdu.esm_class >> 6]
        registered = [number(shown[f"regdel.{part}"][0]) for part in ("receipt", "acks", "notif")]
        flags = pdu.registered_delivery
        assert registered == [flags & 3, flags >> 2 & 3, flags >> 4 & 1]
        assert number(shown["data_coding"][0]) == pdu.data_coding
        assert number(shown["sm_length"][0]) == len(pdu.short_message)
        if pdu.short_message:
            assert pdu.short_message.endswith(octets(shown["message"][0]))


def seconds(text: str) -> float:
    """A date as Wireshark writes it, in seconds since 1970."""
    match = re.fullmatch(r"(\w+ +\d+, \d+ [\d:]+)\.(\d+) UTC", text)
    assert match, text
    when = datetime.strptime(match[1], "%b %d, %Y %H:%M:%S").replace(tzinfo=UTC)
    return when.timestamp() + float(f"0.{match[2]}")


def test_times(tmp_path: Path) -> None:
    """Absolute and relative times mean to Wireshark what they mean to us."""
    now = 1_773_483_300_000
    absolute = format_absolute(now + 600)
    relative = format_relative(90_061_000)
    pdus: list[Pdu] = [
        SubmitSm(sequence=1, schedule_delivery_time=absolute, validity_period=relative),
        SubmitSm(sequence=2, schedule_delivery_time=relative, validity_period=b"260314101502004+"),
        QuerySmResp(sequence=3, message_id=b"1", final_date=b"260314101502008-"),
    ]
    first, second, third = dissect(tmp_path / "times.pcap", pdus)
    assert seconds(first["schedule_delivery_time"][0]) == (now + 600) / 1000
    assert float(first["validity_period_r"][0]) == 90_061
    assert float(second["schedule_delivery_time_r"][0]) == 90_061
    assert seconds(second["validity_period"][0]) * 1000 == parse_time(b"260314101502004+", now)
    assert seconds(third["final_date"][0]) * 1000 == parse_time(b"260314101502008-", now)


def test_lists(tmp_path: Path) -> None:
    """Destinations of submit_multi and the failed ones of its response."""
    pdus: list[Pdu] = [
        SubmitMulti(
            sequence=1,
            dest_addresses=[
                SmeAddress(1, 1, b"447700900123"),
                DistributionList(b"staff"),
                SmeAddress(2, 8, b"07700900124"),
            ],
            short_message=b"Hi",
        ),
        SubmitMultiResp(
            sequence=1,
            message_id=b"12345679",
            unsuccess_sme=[
                UnsuccessSme(1, 1, b"447700900123", Status.ESME_RINVDSTADR),
                UnsuccessSme(2, 8, b"07700900124", Status.ESME_RTHROTTLED),
            ],
        ),
    ]
    request, response = dissect(tmp_path / "lists.pcap", pdus)
    for shown in (request, response):
        assert shown["destination_addr"] == ["447700900123", "07700900124"]
        assert [number(ton) for ton in shown["dest_addr_ton"]] == [1, 2]
        assert [number(npi) for npi in shown["dest_addr_npi"]] == [1, 8]
    assert request["dl_name"] == ["staff"]
    assert octets(request["message"][0]) == b"Hi"
    assert [number(code) for code in response["error_status_code"]] == [0x0B, 0x58]


# What Wireshark calls a TLV, where that is not its name; None: it shows no value of its own.
TLV_SHOWN_AS: dict[int, str | None] = {
    Tag.SC_INTERFACE_VERSION: "SC_interface_version",
    Tag.MS_MSG_WAIT_FACILITIES: None,
    Tag.CALLBACK_NUM_PRES_IND: None,
    Tag.CALLBACK_NUM_ATAG: None,
    Tag.CALLBACK_NUM: None,
    Tag.NETWORK_ERROR_CODE: None,
    Tag.ALERT_ON_MESSAGE_DELIVERY: "alert_on_message_delivery_type",
    Tag.ITS_SESSION_INFO: None,
    Tag.BROADCAST_CONTENT_TYPE: None,
    Tag.BROADCAST_CONTENT_TYPE_INFO: "broadcast_content_type.info",
    Tag.BROADCAST_REP_NUM: None,  # it shows the first of the two octets
    Tag.BROADCAST_FREQUENCY_INTERVAL: None,
    Tag.BROADCAST_END_TIME: None,
    Tag.BILLING_IDENTIFICATION: "billing_id",
    Tag.DEST_ADDR_NP_INFORMATION: "dest_addr_np_info",
}


def tlv_value(tag: int) -> bytes:
    """A value of a permitted length that no other tag has."""
    shape = SHAPES[tag]
    size = max(shape.least, min(shape.most, 8)) if shape.kind != "int" else shape.size
    if shape.kind == "text":
        return b"%07x" % tag + b"\0"
    return bytes([(tag + place) % 7 + 1 for place in range(size)])


def test_every_tlv(tmp_path: Path) -> None:
    """Every TLV has the tag, the length and the value that Wireshark expects."""
    tags = sorted(SHAPES)
    pdus: list[Pdu] = [DeliverSm(sequence=1, tlvs=[(tag, tlv_value(tag))]) for tag in tags]
    for tag, shown in zip(tags, dissect(tmp_path / "tlvs.pcap", pdus), strict=True):
        name = TLV_SHOWN_AS.get(tag, Tag(tag).name.lower())
        assert "_ws.malformed" not in shown, tag
        assert [number(text) for text in shown["opt_param_tag"]] == [tag]
        assert [number(text) for text in shown["opt_param_len"]] == [len(tlv_value(tag))]
        if name is None:
            continue
        (text,) = shown[name]
        if SHAPES[tag].kind == "text":
            assert text == tlv_value(tag).rstrip(b"\0").decode(), name
        elif SHAPES[tag].kind == "int" or ":" not in text:
            assert number(text) == int.from_bytes(tlv_value(tag), "big"), name
        else:
            assert octets(text) == tlv_value(tag), name


def test_tlvs_in_their_places(tmp_path: Path) -> None:
    """The TLVs that matter most, in the PDUs that have them."""
    pdus: list[Pdu] = [
        BindTransceiverResp(1, system_id=b"gateway", tlvs=[(Tag.SC_INTERFACE_VERSION, b"\x34")]),
        DataSm(2, tlvs=[(Tag.MESSAGE_PAYLOAD, b"A longer text" * 500)]),
        DeliverSm(
            3, esm_class=4, tlvs=[(Tag.RECEIPTED_MESSAGE_ID, b"1\0"), (Tag.MESSAGE_STATE, b"\2")]
        ),
        BroadcastSm(4, tlvs=[(Tag.BROADCAST_AREA_SUCCESS, b"\x63")]),
    ]
    bound, data, receipt, broadcast = dissect(tmp_path / "places.pcap", pdus)
    assert number(bound["SC_interface_version"][0]) == 0x34
    assert octets(data["message_payload"][0]) == b"A longer text" * 500
    assert receipt["receipted_message_id"] == ["1"]
    assert number(receipt["message_state"][0]) == 2
    assert number(broadcast["broadcast_area_success"][0]) == 0x63

"""Each requirement and decision of the REST part of ``spec/aerialink.md``, named by its id, on real
sockets."""

import base64
import json
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from twisted.internet import reactor
from twisted.internet.task import deferLater

from smsgw.dialects import Aerialink, CodeWords
from smsgw.http import rest_codes
from smsgw.refusals import Reason
from smsgw.testing.script import SmscScript
from tests.integration.scene import HANDSET, NUMBER, account
from tests.journeys.rest_scene import OTHER, RestScene
from tests.outside import certificate, pem
from tests.running import free_ports

FORM = urlencode({"source": NUMBER, "destination": HANDSET, "messageText": "Hello"})
UNANSWERED = 3600.0


class Codes(RestScene):
    """The table of codes is data (4.1)."""

    async def test_texts_and_statuses_are_those_of_the_configuration(self) -> None:
        """Those that it does not name stay; the code is the same in any words."""
        self.addCleanup(rest_codes.reword, {})
        codes = {1023: CodeWords("Wrong number", 422), 50: CodeWords("No way")}
        await self.begin(codes=codes)
        status, body = await self.curl(
            "/v4/messages", "-d", "source=ACME&destination=12&messageText=x"
        )
        fault = json.loads(body)["aerialink"]
        assert (status, fault["code"]) == (422, 1023)
        assert fault["detail"].startswith("Wrong number: ")
        status, body = await self.curl("/v4/messages", "-d", f"source=ACME&destination={HANDSET}")
        assert (status, json.loads(body)["aerialink"]["code"]) == (400, 1011)


class RestCase(RestScene):
    """What several of them ask."""

    async def until(self, guid: str, **wanted: Any) -> Any:
        """The transaction once it has these properties."""
        while True:
            found = await self.transaction(guid)
            if all(found[name] == value for name, value in wanted.items()):
                return found
            await deferLater(reactor, 0.02)

    async def guid_of(self, **parameters: Any) -> str:
        """The GUID of a message that is sent now."""
        sent = await self.send(**parameters)
        return str(sent["transactions"]["transaction"]["transactionGUID"])


class Interfaces(RestCase):
    """2.1."""

    async def test_e_r1_e_r4_rest_and_smpp_at_once(self) -> None:
        """One account has an HTTP and an SMPP login at the same time."""
        await self.begin()
        esme = await self.esme()
        assert (await self.send())["code"] == 10
        await self.north.smsc.arrived(1)
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await esme.delivered(1)

    async def test_e_r2_each_resource_has_its_uri(self) -> None:
        """Messages, status, numbers lookup, lists."""
        await self.begin()
        guid = await self.guid_of()
        assert (await self.get(f"/v4/messages/{guid}"))["transactions"]
        assert (await self.get(f"/v4/numbers?numbers={HANDSET}"))["transactions"]
        assert (await self.get("/v4/lists"))["lists"] == {"list": []}

    async def test_e_r5_e_r11_a_connection_for_each_request(self) -> None:
        """No session: curl makes a connection of its own each time."""
        await self.begin()
        for _ in range(3):
            status, _ = await self.curl("/v4/messages", "-d", FORM, "-H", "Connection: close")
            assert status == 200

    async def test_e_r6_e_d4_e_d6_key_secret_and_allow_list(self) -> None:
        """1001, 1002, 1004."""
        await self.begin()
        basic = ["-H", "Authorization: Basic " + base64.b64encode(b"acme:wrong").decode()]
        assert await self.refused("/v4/lists", *basic) == (401, 1002)
        assert await self.refused("/v4/lists", "-H", "Authorization:") == (401, 1001)
        elsewhere = account().replace('allow = ["127.0.0.0/8"]', 'allow = ["192.0.2.0/24"]')
        await self.apply(elsewhere, prune=False)
        assert await self.refused("/v4/lists") == (403, 1004)

    async def test_e_r7_tls(self) -> None:
        """By a listener of its own; there REST is served whatever ``allow_plain_http`` says."""
        folder = Path(mkdtemp())
        self.addCleanup(lambda: [*map(Path.unlink, folder.iterdir()), folder.rmdir()])
        (folder / "own.pem").write_bytes(pem(certificate()))
        [port] = free_ports(1)
        tls = f"ssl:{port}:privateKey={folder / 'own.pem'}:interface=127.0.0.1"
        await self.begin(listen=[tls], allow_plain_http=False)
        sent = await self.get(f"https://127.0.0.1:{port}/v4/messages", "--insecure", "-d", FORM)
        assert sent["code"] == 10
        assert await self.refused("/v4/messages", "-d", FORM) == (403, 1005)

    async def test_e_r8_e_d2_e_d9_json_and_xml(self) -> None:
        """Root, transactions, transaction; repeated elements for several."""
        await self.begin()
        form = urlencode(
            {"source": NUMBER, "destination": f"{HANDSET},{OTHER}", "messageText": "Hi"}
        )
        _, body = await self.curl("/v4/messages.xml", "-d", form)
        root = ElementTree.fromstring(body.encode())
        assert root.tag == "aerialink"
        found = [one.findtext("destination") for one in root.findall("transactions/transaction")]
        assert found == [HANDSET, OTHER]
        _, body = await self.curl("/v4/messages.json", "-d", form)
        assert len(json.loads(body)["aerialink"]["transactions"]["transaction"]) == 2

    async def test_e_r10_get_and_post_reach_everything(self) -> None:
        """Also what DELETE does."""
        await self.begin()
        made = await self.get("/v4/lists", "-d", "name=x&type=contact")
        path = f"/v4/lists/{made['lists']['list']['listId']}"
        await self.get(f"{path}/members", "-d", f"numbers={HANDSET}")
        await self.get(f"{path}/members/delete", "-d", f"numbers={HANDSET}")
        assert await self.get(f"{path}/delete", "-X", "POST") == {"code": 10}
        later = await self.guid_of(scheduleTime="2026-12-20T00:00:00Z")
        cancelled = await self.get(f"/v4/messages/{later}/cancel", "-X", "POST")
        assert cancelled["transactions"]["transaction"]["messageState"] == "DELETED"


class Phases(RestCase):
    """2.2 to 2.4."""

    async def test_e_r20_an_opt_out_is_52(self) -> None:
        """Nothing is charged, and the transaction is kept."""
        await self.begin()
        made = await self.get("/v4/lists", "-d", f"name=out&type=optout&source={NUMBER}")
        path = f"/v4/lists/{made['lists']['list']['listId']}/members"
        await self.get(path, "-d", f"numbers={HANDSET}")
        sent = await self.send()
        assert sent["code"] == 52
        guid = sent["transactions"]["transaction"]["transactionGUID"]
        assert (await self.transaction(guid))["code"] == 52

    async def test_e_r21_to_e_r23_acknowledgements_are_200(self) -> None:
        """10, 50, 51 and 55, each with a transaction of its own."""
        await self.begin(own={"duplicate_window_s": 60})
        assert (await self.send(messageText="same"))["code"] == 10
        assert (await self.send(messageText="same"))["code"] == 55
        made = await self.get("/v4/lists", "-d", "name=no&type=block")
        path = f"/v4/lists/{made['lists']['list']['listId']}/members"
        await self.get(path, "-d", f"numbers={OTHER}")
        assert (await self.send(destination=OTHER))["code"] == 51
        await self.apply(
            '[[route]]\nname = "default"\nprefixes = ["1"]\ncarriers = ["north"]\n', prune=False
        )
        sent = await self.send(messageText="nowhere")
        assert sent["code"] == 50
        assert sent["transactions"]["transaction"]["extendedStatusCode"] == 30003

    async def test_e_r24_errors_have_the_series_1000_to_1050(self) -> None:
        """Each code of 4.1 is one of them."""
        series = {one.answer.rest // 10 * 10 for one in Reason if one.answer.rest >= 1000}
        assert series == {1000, 1010, 1020, 1030, 1040, 1050}
        await self.begin()
        for form, expected in (
            ("destination=1&messageText=x", (400, 1011)),
            (FORM + "&dcs=999", (400, 1012)),
            (FORM.replace(HANDSET, "abc"), (400, 1023)),
        ):
            assert await self.refused("/v4/messages", "-d", form) == expected

    async def test_e_r25_e_r27_e_r29_10_becomes_20(self) -> None:
        """With the carrier's acknowledgement; until then a status check answers 10."""
        await self.begin(script=SmscScript(answer_delay_s=UNANSWERED))
        guid = await self.guid_of()
        await self.north.smsc.arrived(1)
        found = await self.transaction(guid)
        assert (found["code"], found["carrierDate"]) == (10, None)
        self.north.smsc.script = SmscScript()
        guid = await self.guid_of(destination=OTHER)
        found = await self.until(guid, code=20)
        assert found["operatorId"] == 23499
        assert (found["codeText"], found["extendedStatusCode"]) == ("Request Completed", 30000)
        assert found["carrierDate"] is not None

    async def test_e_r26_e_r30_a_receipt_says_what_became_of_it(self) -> None:
        """After a CDA it may still fail: 20 stays, the state tells."""
        await self.begin(script=SmscScript(states={"UNDELIV": 1}))
        found = await self.until(await self.guid_of(registeredDelivery=1), messageState="UNDELIV")
        assert (found["code"], found["extendedStatusCode"]) == (20, 30003)
        receipt = await self.transaction(found["transactionGUIDlinked"])
        assert receipt["messageType"] == "Receipt"
        assert receipt["transactionGUIDlinked"] == found["transactionGUID"]

    async def test_e_r17_e_r30_a_delivered_one(self) -> None:
        """40001, DELIVRD, doneDate."""
        await self.begin()
        found = await self.until(await self.guid_of(registeredDelivery=1), messageState="DELIVRD")
        assert found["extendedStatusCode"] == 40001
        assert found["doneDate"] is not None

    async def test_e_r31_validity_ends_what_is_tried(self) -> None:
        """1 to 10080 minutes."""
        await self.begin()
        for wrong in (0, 10081):
            form = f"{FORM}&validityPeriod={wrong}"
            assert await self.refused("/v4/messages", "-d", form) == (400, 1012)
        assert (await self.send(validityPeriod=1))["code"] == 10


class InGeneral(RestCase):
    """4.2."""

    async def test_e_d1_paths(self) -> None:
        """Case-sensitive; a slash at the end is ignored."""
        await self.begin()
        assert (await self.get("/v4/lists/"))["lists"] == {"list": []}
        assert await self.refused("/v4/Lists") == (404, 1040)

    async def test_e_d3_the_root_of_xml_is_request(self) -> None:
        """Another root, and a parameter that is given twice, are refused."""
        await self.begin()
        xml = ["-H", "Content-Type: application/xml", "-H", "Accept: application/json", "-d"]
        assert await self.refused("/v4/messages", *xml, "<message/>") == (400, 1010)
        assert await self.refused("/v4/messages", *xml, "<request>") == (400, 1010)
        twice = "<request><source>1</source><source>2</source></request>"
        assert await self.refused("/v4/messages", *xml, twice) == (400, 1012)
        yaml = ["-H", "Content-Type: application/yaml", "-d", "a: 1"]
        assert await self.refused("/v4/messages", *yaml) == (415, 1013)

    async def test_e_d5_plain_http_is_off_by_default(self) -> None:
        """There is a listener for it all the same, at which REST is refused."""
        await self.begin(allow_plain_http=Aerialink().allow_plain_http)
        assert await self.refused("/v4/lists") == (403, 1005)

    async def test_e_d7_limits(self) -> None:
        """A body of more than 64 kB; keep-alive is offered."""
        await self.begin()
        body = "source=1&messageText=" + "x" * 70_000
        assert await self.refused("/v4/messages", "-d", body) == (413, 1014)
        _, answer = await self.curl("/v4/lists", "-i")
        assert "Connection: close" not in answer

    async def test_e_d8_get_needs_leave(self) -> None:
        """1015 without it."""
        await self.begin()
        assert await self.refused(f"/v4/messages/send?{FORM}") == (405, 1015)

    async def test_e_d9_the_root_is_a_setting(self) -> None:
        """In both formats."""
        await self.begin(root="gateway")
        _, body = await self.curl("/v4/lists")
        assert list(json.loads(body)) == ["gateway"]
        _, body = await self.curl("/v4/lists.xml")
        assert body.split("\n")[1].startswith("<gateway>")

    async def test_e_d10_dates_booleans_and_what_is_missing(self) -> None:
        """ISO 8601 with Z; true and 1; null and an empty element."""
        await self.begin()
        guid = await self.guid_of(registeredDelivery="true", flash=1)
        found = await self.transaction(guid)
        assert found["submitDate"].endswith("Z")
        assert found["clientReference"] is None
        _, body = await self.curl(f"/v4/messages/{guid}.xml")
        assert "<clientReference/>" in body

    async def test_e_d11_idempotency(self) -> None:
        """The same key returns the first answer again."""
        await self.begin()
        key = ["-H", "Idempotency-Key: k1"]
        assert await self.send(*key) == await self.send(*key)
        _, answer = await self.curl("/v4/messages", "-i", "-d", FORM, *key)
        assert "Idempotency-Replayed: true" in answer


class Limits(RestCase):
    """What an account may: its rate, its credit, its rights."""

    async def test_too_fast_is_1032_with_the_time_to_wait(self) -> None:
        """429 and Retry-After."""
        await self.begin(own={"rate": 1})
        assert (await self.send())["code"] == 10
        status, answer = await self.curl("/v4/messages", "-i", "-d", FORM)
        assert status == 429
        assert '"code":1032' in answer
        assert "\r\nRetry-After: 1\r\n" in answer

    async def test_without_credit_it_is_1031(self) -> None:
        """402, and nothing is sent."""
        await self.begin(own={"balance": "0.01"})
        assert (await self.send())["code"] == 10
        assert await self.refused("/v4/messages", "-d", FORM) == (402, 1031)

    async def test_what_is_not_in_the_contract_is_1033(self) -> None:
        """Lists, lookup, MMS."""
        await self.begin()
        off = "[account.settings.aerialink]\nlists = false\nlookup = false\nmms = false\n"
        await self.apply(account() + off, prune=False)
        assert await self.refused("/v4/lists") == (403, 1033)
        assert await self.refused("/v4/numbers?numbers=1") == (403, 1033)
        assert await self.refused("/v4/messages", "-d", FORM + "&mediaUrl=http://a.b/c") == (
            403,
            1033,
        )

    async def test_rights_of_a_login(self) -> None:
        """F-6: each resource is a right of its own."""
        await self.begin()
        only = account().replace('kind = "http"', 'kind = "http"\nresources = ["lists"]')
        await self.apply(only, prune=False)
        assert (await self.get("/v4/lists"))["lists"]
        for path in ("/v4/numbers?numbers=1", "/20100101/sms/report/", "/v4/deliveries"):
            assert await self.refused(path) == (403, 1005), path
        assert await self.refused("/v4/messages", "-d", FORM) == (403, 1005)


class OptOuts(RestCase):
    """4.5, as REST sees it."""

    async def test_e_d12_to_e_d15_stop_and_start(self) -> None:
        """STOP: 52 from then on, and one confirmation; START: 10 again."""
        await self.begin()
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Stop!")
        await self.north.smsc.arrived(1)  # the confirmation
        assert (await self.send())["code"] == 52
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "start")
        await self.north.smsc.arrived(2)
        assert (await self.send())["code"] == 10


class Notifications(RestCase):
    """4.6."""

    ROUTE = (
        '[[account.route]]\nsequence = 1\nactions = [\n  { type = "SMS-CDA-HTTP", url = "URL/cda" '
        '},\n  { type = "SMS-DLR-HTTP", url = "URL/dlr" },\n  { type = "SMS-MO-HTTP", url = '
        '"URL/mo" },\n]\n'
    )

    async def test_e_r9_urls_for_messages_and_notifications(self) -> None:
        """MO, CDA and DLR, each at its URL."""
        await self.begin(self.ROUTE)
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await self.send(registeredDelivery=1)
        await self.sink.when(lambda: len(self.sink.requests) == 3)
        assert {one.target for one in self.sink.requests} == {"/mo", "/cda", "/dlr"}

    async def test_e_r28_e_d17_a_failed_update_is_tried_again(self) -> None:
        """retry_count times, then it is marked as failed."""
        await self.begin(
            self.ROUTE.replace("SMS-CDA", "MMS-DLR"), retry_count=2, retry_interval_s=1
        )
        self.sink.answers = [500]
        await self.send(registeredDelivery=1)
        while not (await self.get("/v4/deliveries"))["deliveries"]["delivery"]:
            await deferLater(reactor, 0.05)
        assert len(self.sink.requests) == 3
        assert len({one.body for one in self.sink.requests}) == 1

    async def test_e_d18_a_status_check_tells_the_tries(self) -> None:
        """retryCount and nextRetryDate."""
        await self.begin(self.ROUTE.replace("SMS-CDA", "MMS-DLR"))
        self.sink.answers = [500]
        found = await self.until(await self.guid_of(registeredDelivery=1), retryCount=1)
        assert found["nextRetryDate"] is not None

    async def test_e_d19_any_2xx_is_success(self) -> None:
        """A redirect is not followed, and is none."""
        await self.begin(self.ROUTE.replace("SMS-CDA", "MMS-DLR"), retry_count=0)
        self.sink.answers = [204, 302]
        first = await self.guid_of(registeredDelivery=1)
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        second = await self.guid_of(registeredDelivery=1, destination=OTHER)
        while not (found := (await self.get("/v4/deliveries"))["deliveries"]["delivery"]):
            await deferLater(reactor, 0.05)
        assert [one["transactionGUID"] for one in found] == [second]
        assert first != second

    async def test_e_d20_the_first_matching_route_is_used(self) -> None:
        """By sequence, code and keyword; NULL brings it nowhere."""
        await self.begin(
            '[[account.route]]\nsequence = 5\nactions = [{ type = "SMS-MO-HTTP", url = "URL/b" }]\n'
            '[[account.route]]\nsequence = 1\nkeyword = "VOTE"\n'
            'actions = [{ type = "SMS-MO-HTTP", url = "URL/a" }]\n'
            '[[account.route]]\nsequence = 0\nkeyword = "SPAM"\nactions = [{ type = "NULL" }]\n'
        )
        for text in ("spam spam", "vote 1", "other"):
            self.north.smsc.mobile_originated(HANDSET, NUMBER, text)
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        assert {one.target: one.fields["messageText"] for one in self.sink.requests} == {
            "/a": "vote 1",
            "/b": "other",
        }

    async def test_e_d21_types_methods_and_formats(self) -> None:
        """GET is a query whatever the format; SMPP goes to the sessions."""
        await self.begin(
            "[[account.route]]\nsequence = 1\nactions = [\n"
            '  { type = "SMS-MO-HTTP", url = "URL/q", method = "GET", format = "xml" },\n'
            '  { type = "SMS-MO-HTTP", url = "URL/j", format = "json" },\n'
            '  { type = "SMPP" },\n]\n'
        )
        esme = await self.esme()
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        await esme.delivered(1)
        by_method = {one.method: one for one in self.sink.requests}
        assert by_method["GET"].fields["messageText"] == "Hi"
        assert json.loads(by_method["POST"].body)["messageText"] == "Hi"

"""The REST API on real sockets: curl, JSON and XML, batches, lists, lookup, report, notifications
with their retries, repeated requests (``spec/aerialink.md``)."""

import csv
import io
import json
import re
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw import signature
from smsgw.testing.sinks import Answer, HttpSink
from smsgw.text import gsm
from tests.integration.scene import HANDSET, NUMBER, account, post
from tests.journeys.rest_scene import OTHER, RestScene


class Formats(RestScene):
    """E-D2, E-D3, E-D9: bodies and answers."""

    async def test_every_body_is_the_same_message(self) -> None:
        """E-D3: form, JSON, XML and multipart, by curl."""
        await self.begin()
        text = "Grüße & <b>"
        fields = {"source": NUMBER, "destination": HANDSET, "messageText": text}
        xml = (
            f"<request><source>{NUMBER}</source><destination>{HANDSET}</destination>"
            "<messageText>Grüße &amp; &lt;b&gt;</messageText></request>"
        )
        multipart = [
            word for name, value in fields.items() for word in ("--form-string", f"{name}={value}")
        ]
        for arguments in (
            ["-d", urlencode(fields)],
            ["-H", "Content-Type: application/json", "-d", json.dumps(fields)],
            ["-H", "Content-Type: application/xml", "-d", xml],
            ["-H", "Content-Type: text/xml; charset=utf-8", "-d", xml],
            multipart,
        ):
            status, body = await self.curl("/v4/messages.json", *arguments)
            assert (status, json.loads(body)["aerialink"]["code"]) == (200, 10), body
        await self.north.smsc.arrived(5)
        coded = gsm.encode(text)
        assert [pdu.short_message for pdu in self.north.smsc.submits] == [coded] * 5

    async def test_answers_are_json_or_xml(self) -> None:
        """E-D2: the suffix, then Accept, then the body."""
        await self.begin()
        form = urlencode({"source": NUMBER, "destination": HANDSET, "messageText": "Hi"})
        xml = "Content-Type: application/xml"
        for path, arguments, is_xml in (
            ("/v4/messages", ["-d", form], False),
            ("/v4/messages.xml", ["-d", form], True),
            ("/v4/messages.xml", ["-d", form, "-H", "Accept: application/json"], True),
            ("/v4/messages", ["-d", form, "-H", "Accept: text/xml"], True),
            ("/v4/messages", ["-d", "<request/>", "-H", xml], True),
            ("/v4/messages.json", ["-d", "<request/>", "-H", xml], False),
        ):
            _, body = await self.curl(path, *arguments)
            assert body.startswith("<?xml") == is_xml, (path, arguments, body)
        _, body = await self.curl("/v4/messages.xml", "-d", form)
        root = ElementTree.fromstring(body.encode())
        found = root.find("transactions/transaction")
        assert found is not None
        assert (root.tag, found.findtext("code")) == ("aerialink", "10")
        guid = found.findtext("transactionGUID")
        status, body = await self.curl(f"/v4/messages/{guid}.xml")
        assert status == 200
        assert f"<transactionGUID>{guid}</transactionGUID>" in body

    async def test_an_entity_bomb_is_1010(self) -> None:
        """XML with a DTD is refused unread (design section 10)."""
        await self.begin()
        bomb = '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><request>&b;</request>'
        xml = ["-H", "Content-Type: application/xml", "-d", bomb]
        assert await self.refused("/v4/messages.json", *xml) == (400, 1010)


class Batches(RestScene):
    """Several destinations, and lists."""

    async def test_a_batch_can_be_asked_for(self) -> None:
        """4.3: one batchGUID, one transaction each; pages of it by a cursor."""
        await self.begin()
        sent = await self.send(destination=f"{HANDSET},nobody,{OTHER}")
        batch = sent["batchGUID"]
        assert [one["code"] for one in sent["transactions"]["transaction"]] == [10, 1023, 10]
        first = await self.get(f"/v4/messages?batchGUID={batch}&maxRows=1")
        [one] = first["transactions"]["transaction"]
        assert one["destination"] == HANDSET
        second = await self.get(
            f"/v4/messages?batchGUID={batch}&maxRows=1&cursor={first['nextCursor']}"
        )
        [other] = second["transactions"]["transaction"]
        assert (other["destination"], second["nextCursor"]) == (OTHER, None)
        query = f"/v4/messages?batchGUID={batch}"
        assert await self.refused(query, login="rival") == (404, 1041)

    async def test_a_list_is_made_filled_and_sent_to(self) -> None:
        """4.4 and listId, as in the worked example."""
        await self.begin()
        made = await self.get("/v4/lists", "-d", "name=spring&type=contact")
        one = made["lists"]["list"]
        assert (made["code"], one["name"], one["type"], one["size"]) == (10, "spring", "contact", 0)
        path = f"/v4/lists/{one['listId']}"
        added = await self.get(f"{path}/members", "-d", f"numbers={HANDSET},{OTHER},abc")
        assert added["members"]["member"] == [
            {"number": HANDSET, "result": "added"},
            {"number": OTHER, "result": "added"},
            {"number": "abc", "result": "invalid"},
        ]
        again = await self.get(f"{path}/members", "-d", f"numbers={HANDSET}")
        assert again["members"]["member"][0]["result"] == "exists"
        page = await self.get(f"{path}/members?maxRows=1")
        assert [m["number"] for m in page["members"]["member"]] == [HANDSET]
        assert page["members"]["member"][0]["origin"] == "api"
        page = await self.get(f"{path}/members?maxRows=1&cursor={page['nextCursor']}")
        assert [m["number"] for m in page["members"]["member"]] == [OTHER]
        assert page["nextCursor"] is None
        page = await self.get(f"{path}/members?startRow=2")
        assert [m["number"] for m in page["members"]["member"]] == [OTHER]

        sent = await self.send(destination=None, listId=one["listId"])
        numbers = [each["destination"] for each in sent["transactions"]["transaction"]]
        assert numbers == [HANDSET, OTHER]
        assert sent["batchGUID"]

        removed = await self.get(f"{path}/members/delete", "-d", f"numbers={OTHER},{OTHER}9")
        results = [each["result"] for each in removed["members"]["member"]]
        assert results == ["removed", "unknown"]
        await self.get(f"{path}/members/{HANDSET}", "-X", "DELETE")
        assert await self.refused(f"{path}/members/{HANDSET}", "-X", "DELETE") == (404, 1042)
        renamed = await self.get(path, "-d", "name=summer")
        assert renamed["lists"]["list"]["name"] == "summer"
        shown = await self.get("/v4/lists?maxRows=100")
        assert [each["name"] for each in shown["lists"]["list"]] == ["summer"]
        assert await self.get(path, "-X", "DELETE") == {"code": 10}
        assert await self.refused(path) == (404, 1042)

    async def test_faults_of_lists_have_their_codes(self) -> None:
        """1043 for a name in use, 1042 for a list of nobody or of others, 1005 for built-in
        ones."""
        await self.begin()
        made = await self.get("/v4/lists", "-d", "name=vip&type=contact")
        path = f"/v4/lists/{made['lists']['list']['listId']}"
        assert await self.refused("/v4/lists", "-d", "name=vip&type=block") == (409, 1043)
        assert await self.refused("/v4/lists", "-d", "name=x&type=y") == (400, 1012)
        assert await self.refused("/v4/lists", "-d", "type=block") == (400, 1011)
        for rest in ("", "/members"):
            assert await self.refused(path + rest, login="rival") == (404, 1042)
        wrong = ["-X", "DELETE"]
        assert await self.refused(path, *wrong, login="rival") == (404, 1042)
        assert await self.refused("/v4/lists/nonsense") == (404, 1042)
        assert await self.refused(f"{path}/members", "-d", "numbers=") == (400, 1011)
        # A handset opts out: its number is on the built-in list of the source (E-D12).
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "STOP")
        while True:
            lists = (await self.get("/v4/lists"))["lists"]["list"]
            built_in = [one for one in lists if one["type"] == "optout"]
            if built_in:
                break
        [one] = built_in
        assert (one["source"], one["size"]) == (NUMBER, 1)
        path = f"/v4/lists/{one['listId']}"
        assert await self.refused(path, "-X", "DELETE") == (403, 1005)
        assert await self.refused(path, "-d", "name=mine") == (403, 1005)
        sent = await self.send()
        assert (sent["code"], sent["transactions"]["transaction"]["messageState"]) == (
            52,
            "REJECTD",
        )
        [member] = (await self.get(f"{path}/members"))["members"]["member"]
        assert (member["number"], member["origin"]) == (HANDSET, "keyword")

    async def test_a_block_list_answers_51(self) -> None:
        """The code is kept with the transaction (E-R22)."""
        await self.begin()
        made = await self.get("/v4/lists", "-d", "name=never&type=block")
        path = f"/v4/lists/{made['lists']['list']['listId']}/members"
        await self.get(path, "-d", f"numbers={HANDSET}")
        sent = await self.send()
        assert sent["code"] == 51
        guid = sent["transactions"]["transaction"]["transactionGUID"]
        assert (await self.transaction(guid))["code"] == 51


class Lookups(RestScene):
    """4.4: what is known of numbers."""

    async def test_the_plan_and_the_networks_are_asked(self) -> None:
        """F-10; what is no number is no error."""
        await self.begin()
        found = await self.get(f"/v4/numbers.json?numbers={HANDSET},12025550123,abc")
        mine, american, none = (one["number"] for one in found["transactions"]["transaction"])
        assert mine["operator"] == {
            "operatorId": 23499,
            "operatorName": "Example Wireless",
            "operatorType": "wireless",
            "mcc": "234",
            "mnc": "99",
        }
        country = {"countryCode": "US", "countryName": "United States", "dialCode": "1"}
        assert american["country"] == country
        assert american["validNumber"] is True
        assert (none["validNumber"], none["operator"]["operatorType"]) == (False, "unknown")
        one = await self.get(f"/v4/numbers?numbers={HANDSET}")
        assert one["transactions"]["transaction"]["number"]["numberValue"] == HANDSET
        assert await self.refused("/v4/numbers") == (400, 1011)
        many = ",".join(["1"] * 101)
        assert await self.refused(f"/v4/numbers?numbers={many}") == (400, 1012)

    async def test_a_provider_is_asked_once(self) -> None:
        """It answers over HTTP, and what it said is remembered."""
        provider = HttpSink(reactor)
        port = await provider.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.stop()))
        provider.answers = [
            provider_answer(
                {"valid": True, "mcc": "234", "mnc": "10", "operatorName": "Two", "ported": True}
            )
        ]
        await self.begin(
            lookup_url=f"http://127.0.0.1:{port}/hlr?n={{number}}",
            lookup_username="u",
            lookup_password="p",
        )
        for _ in range(2):
            found = await self.get(f"/v4/numbers?numbers={HANDSET}")
            number = found["transactions"]["transaction"]["number"]
            assert (number["ported"], number["operator"]["operatorId"]) == (True, 23410)
            assert number["operator"]["operatorName"] == "Two"
        [asked] = provider.requests
        assert asked.target == f"/hlr?n={HANDSET}"
        assert asked.headers["authorization"] == "Basic dTpw"

    async def test_without_an_answer_the_plan_is_right(self) -> None:
        """A provider that fails costs nobody the answer."""
        provider = HttpSink(reactor)
        port = await provider.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(provider.stop()))
        provider.answers = [503]
        await self.begin(lookup_url=f"http://127.0.0.1:{port}/{{number}}")
        found = await self.get(f"/v4/numbers?numbers={HANDSET}")
        number = found["transactions"]["transaction"]["number"]
        assert (number["ported"], number["operator"]["mnc"]) == (None, "99")


def provider_answer(document: Any) -> Any:
    """What a sink answers."""
    return Answer(200, json.dumps(document).encode())


class Reports(RestScene):
    """F-11, F-15: messages as CSV."""

    async def test_the_report_lists_messages(self) -> None:
        """MO by default, MT on request, with filters and rows."""
        await self.begin()
        for text in ("one", "two", "=three"):
            await self.send(messageText=text, clientReference=text)
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Hi there")
        path = "/20100101/sms/report/"
        while True:
            rows = await self.rows(path)
            if rows:
                break
        assert [(one["source"], one["messageText"], one["status"]) for one in rows] == [
            (HANDSET, "Hi there", "PENDING")
        ]
        rows = await self.rows(f"{path}?messageType=MT")
        assert [one["messageText"] for one in rows] == ["'=three", "two", "one"]
        assert {one["status"] for one in rows} <= {"QUEUED", "SUCCESS"}
        rows = await self.rows(f"{path}?messageType=MT&startRow=2&maxRows=1")
        assert [one["clientReference"] for one in rows] == ["two"]
        assert await self.rows(f"{path}?messageType=MT&destinationAddress={OTHER}") == []
        assert (
            await self.rows(f"{path}?messageType=MT&endDate=2020-01-01&startDate=2019-01-01") == []
        )
        assert await self.rows(f"{path}?messageType=MT", login="rival") == []
        assert await self.refused(f"{path}?maxRows=101") == (400, 1012)
        assert await self.refused(f"{path}?startDate=soon") == (400, 1012)

    async def test_octets_are_text_to_readers_of_csv(self) -> None:
        """F-11: what readers stop at, a NUL above all, is shown as U+FFFD; line ends stay."""
        await self.begin()
        await self.send(messageText="61000a62", dcs=4)
        [row] = await self.rows("/20100101/sms/report/?messageType=MT")
        assert row["messageText"] == "a\ufffd\nb"

    async def rows(self, path: str, login: str = "acme") -> list[dict[str, str]]:
        """The report, read as CSV."""
        status, body = await self.curl(path, login=login)
        assert status == 200, body
        return list(csv.DictReader(io.StringIO(body)))


class Actions(RestScene):
    """E-D20, E-D21: routes of an account for MO, CDA and DLR."""

    async def test_actions_are_run_in_their_format(self) -> None:
        """The first matching route; all of its actions; Basic and HMAC."""
        await self.begin(
            '[[account.route]]\nsequence = 10\ncode = "447700900001"\n'
            'actions = [{ type = "NULL" }]\n'
            '[[account.route]]\nsequence = 20\nkeyword = "json"\nactions = [\n'
            '  { type = "SMS-MO-HTTP", url = "URL/json", format = "json", username = "u", '
            'password = "p", hmac_secret = "s3cret" },\n'
            '  { type = "SMS-MO-HTTP", url = "URL/xml", format = "xml" },\n]\n'
            "[[account.route]]\nsequence = 30\nactions = [\n"
            '  { type = "SMS-MO-HTTP", url = "URL/get", method = "GET" },\n'
            '  { type = "SMS-CDA-HTTP", url = "URL/cda" },\n'
            '  { type = "SMS-DLR-HTTP", url = "URL/dlr", method = "GET" },\n]\n'
        )
        requests = self.sink.requests
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "json <hello>")
        await self.sink.when(lambda: len(requests) == 2)
        by_path = {one.target: one for one in requests}
        got = by_path["/json"]
        document = json.loads(got.body)
        assert (document["messageType"], document["source"]) == ("Deliver", HANDSET)
        assert (document["messageText"], document["dcs"]) == ("json <hello>", 0)
        assert got.headers["authorization"] == "Basic dTpw"
        header = got.headers["x-signature"]
        at = int(header[2 : header.index(",")])
        assert signature.verify(header, "s3cret", "POST", got.target, got.body, at)
        root = ElementTree.fromstring(by_path["/xml"].body)
        assert (root.tag, root.findtext("messageText")) == ("aerialink", "json <hello>")

        self.north.smsc.mobile_originated(HANDSET, NUMBER, "other")
        await self.sink.when(lambda: len(requests) == 3)
        assert requests[2].target.startswith("/get?transactionGUID=")
        assert requests[2].fields["messageText"] == "other"

        sent = await self.send(registeredDelivery=1, clientReference="A-17")
        guid = sent["transactions"]["transaction"]["transactionGUID"]
        await self.sink.when(lambda: len(requests) == 5)
        told = {one.fields["messageType"]: one for one in requests[3:]}
        cda, dlr = told["Acknowledgement"], told["Receipt"]
        assert cda.target == "/cda"
        assert (cda.fields["code"], cda.fields["extendedStatusCode"]) == ("20", "30000")
        assert dlr.target.startswith("/dlr?")
        assert (dlr.fields["transactionGUIDlinked"], dlr.fields["messageState"]) == (
            guid,
            "DELIVRD",
        )
        assert (dlr.fields["clientReference"], dlr.fields["extendedStatusCode"]) == (
            "A-17",
            "40001",
        )

    async def test_a_notification_is_retried_and_replayed(self) -> None:
        """E-D17, E-D18: the tries are told with the status; what was given up can be sent again."""
        await self.begin(
            "[[account.route]]\nsequence = 1\n"
            'actions = [{ type = "SMS-DLR-HTTP", url = "URL/" }]\n',
            retry_count=1,
            retry_interval_s=1,
        )
        self.sink.answers = [404, 500, 200]
        sent = await self.send(registeredDelivery=1)
        guid = sent["transactions"]["transaction"]["transactionGUID"]
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        while True:
            found = await self.transaction(guid)
            if found["retryCount"]:
                break
        assert found["retryCount"] == 1
        assert found["code"] == 20
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        while True:
            shown = (await self.get("/v4/deliveries"))["deliveries"]["delivery"]
            if shown:
                break
        [one] = shown
        assert (one["transactionGUID"], one["event"], one["attempts"]) == (guid, "Receipt", 2)
        assert one["reason"] == "HTTP 500"
        found = await self.transaction(guid)
        assert (found["retryCount"], found["nextRetryDate"]) == (2, None)
        _, report = await self.curl("/20100101/sms/report/?messageType=MT")
        assert [row["statusUpdate"] for row in csv.DictReader(io.StringIO(report))] == ["failed"]

        path = f"/v4/deliveries/{one['deliveryId']}/retry"
        assert await self.refused(path, "-X", "POST", login="rival") == (404, 1041)
        assert await self.get(path, "-X", "POST") == {"code": 10, "count": 1}
        await self.sink.when(lambda: len(self.sink.requests) == 3)
        again = await self.get(f"/v4/messages/{guid}/replay", "-X", "POST")
        assert again == {"code": 10, "count": 1}
        await self.sink.when(lambda: len(self.sink.requests) == 4)
        assert self.sink.requests[3].body == self.sink.requests[2].body
        assert await self.get("/v4/deliveries/retry", "-X", "POST") == {"code": 10, "count": 0}


class Repeated(RestScene):
    """E-D11: Idempotency-Key."""

    async def test_the_same_key_gives_the_same_answer(self) -> None:
        """Byte for byte, and nothing is sent twice; also with requests at the same time."""
        await self.begin()
        form = urlencode({"source": NUMBER, "destination": HANDSET, "messageText": "Once"})
        arguments = ["-d", form, "-H", "Idempotency-Key: order-17"]
        asking = [Deferred.fromCoroutine(self.curl("/v4/messages", *arguments)) for _ in range(3)]
        answers = [await one for one in asking]
        assert answers[0][0] == 200
        assert len(set(answers)) == 1
        other = form.replace("Once", "Twice")
        again = ["-d", other, "-H", "Idempotency-Key: order-17"]
        assert await self.refused("/v4/messages", *again) == (409, 1043)
        # Another login's keys are its own.
        assert await self.refused("/v4/messages", *arguments, login="rival") != (409, 1043)
        long = ["-d", form, "-H", "Idempotency-Key: " + "x" * 65]
        assert await self.refused("/v4/messages", *long) == (400, 1012)
        # Of a request that was refused nothing is kept.
        wrong = ["-d", "source=1", "-H", "Idempotency-Key: second"]
        assert await self.refused("/v4/messages", *wrong) == (400, 1011)
        status, body = await self.curl("/v4/messages", "-d", form, "-H", "Idempotency-Key: second")
        assert (status, json.loads(body)["aerialink"]["code"]) == (200, 10)
        rows = await self.curl("/20100101/sms/report/?messageType=MT")
        assert len(list(csv.DictReader(io.StringIO(rows[1])))) == 2

    async def test_a_batch_is_repeated_too(self) -> None:
        """With the same batchGUID."""
        await self.begin()
        key = ["-H", "Idempotency-Key: b"]
        first = await self.send(*key, destination=f"{HANDSET},{OTHER}")
        assert await self.send(*key, destination=f"{HANDSET},{OTHER}") == first


class Tries(RestScene):
    """dryRun: what would be done."""

    async def test_nothing_is_sent(self) -> None:
        """Coding, parts, route and price, or the refusal."""
        await self.begin()
        tried = await self.send(messageText="я" * 71, dryRun=1)
        assert (tried["code"], tried["dryRun"]) == (10, True)
        found = tried["transactions"]["transaction"]
        assert found["transactionGUID"] is None
        assert (found["coding"], found["parts"], found["route"]) == ("UCS2", 2, "default")
        assert (found["price"], found["scheduleTime"]) == ("0.02", None)
        assert await self.refused(
            "/v4/messages", "-d", "source=ACME&destination=12&messageText=x&dryRun=1"
        ) == (400, 1023)
        several = await self.send(destination=f"{HANDSET},nobody", dryRun="true")
        codes = [one["code"] for one in several["transactions"]["transaction"]]
        assert codes == [10, 1023]
        assert "batchGUID" not in several
        _, rows = await self.curl("/20100101/sms/report/?messageType=MT")
        assert list(csv.DictReader(io.StringIO(rows))) == []

    async def test_the_currency_is_that_of_the_account_above(self) -> None:
        """An account without one of its own has that of the nearest above it that has one."""
        group = '[[account]]\nname = "group"\ncurrency = "EUR"\n'
        await self.begin(routes=group, own={"parent": "group"})
        tried = await self.send(dryRun=1)
        found = tried["transactions"]["transaction"]
        assert (found["price"], found["currency"]) == ("0.01", "EUR")

    async def test_operators_are_told_of_a_duplicate(self) -> None:
        """What ``smsgw route test`` says of a message that is refused because it is the second."""
        await self.begin(own={"duplicate_window_s": 60})
        asked = {"account": "acme", "from": NUMBER, "to": HANDSET, "text": "Hello"}
        url = f"http://127.0.0.1:{self.admin_port}/admin/route"
        assert (await deferToThread(post, url, asked))[1]["error"] == ""
        assert (await self.send())["code"] == 10
        assert "a duplicate" in (await deferToThread(post, url, asked))[1]["error"]


class Webs(RestScene):
    """Requests from web pages, request ids, and what the gateway can be asked to allow."""

    async def test_cors_is_off_by_default(self) -> None:
        """No header says that another origin may read the answer; OPTIONS is 405."""
        await self.begin()
        origin = ["-i", "-H", "Origin: https://app.example.com"]
        _, answer = await self.curl("/v4/lists", *origin)
        assert "access-control" not in answer.lower()
        assert "\r\nX-Request-Id: " in answer
        assert await self.refused("/v4/lists", "-X", "OPTIONS") == (405, 1015)

    async def test_cors_for_origins_that_are_named(self) -> None:
        """The preflight needs no login; the answer may be read."""
        await self.begin(cors_origins=["https://app.example.com"])
        origin = ["-i", "-H", "Origin: https://app.example.com", "-H", "X-Request-Id: mine.1"]
        _, answer = await self.curl("/v4/lists", *origin)
        assert "\r\nAccess-Control-Allow-Origin: https://app.example.com\r\n" in answer
        assert "\r\nX-Request-Id: mine.1\r\n" in answer
        status, answer = await self.curl("/v4/messages", "-X", "OPTIONS", *origin, login="x")
        assert status == 204
        assert "\r\nAccess-Control-Allow-Headers: Authorization, " in answer
        foreign = ["-i", "-H", "Origin: https://evil.example.com"]
        _, answer = await self.curl("/v4/lists", *foreign)
        assert "access-control-allow" not in answer.lower()

    async def test_sending_by_get_needs_leave(self) -> None:
        """E-D8."""
        await self.begin()
        query = urlencode({"source": NUMBER, "destination": HANDSET, "messageText": "Hi"})
        assert await self.refused(f"/v4/messages/send?{query}") == (405, 1015)
        await self.apply(
            account() + "[account.settings.aerialink]\nallow_get_submit = true\n", prune=False
        )
        sent = await self.get(f"/v4/messages/send?{query}")
        assert sent["code"] == 10


class WorkedExamples(RestScene):
    """Section 5 of ``spec/aerialink.md``, byte for byte but for ids and times."""

    async def document(self, path: str, *arguments: str) -> str:
        """The body of an answer, its GUIDs and times written as G and T."""
        _, body = await self.curl(path, *arguments)
        body = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "G", body)
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "T", body)

    async def begin_american(self) -> None:
        """An account of the United States whose code is that of the examples."""
        await self.begin(own={"senders": ["12025550100"]})
        await self.apply(
            account(country="1", senders=["12025550100"]).replace(NUMBER, "12025550100"),
            prune=False,
        )

    async def test_e_r20_an_opt_out_in_xml(self) -> None:
        """E-R20, E-D9: the refused submission."""
        await self.begin_american()
        made = await self.get("/v4/lists", "-d", "name=out&type=optout&source=12025550100")
        path = f"/v4/lists/{made['lists']['list']['listId']}/members"
        await self.get(path, "-d", "numbers=12025550199")
        form = "source=12025550100&destination=12025550199&messageText=Hello+world"
        assert await self.document("/v4/messages.xml", "-d", form) == (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            "<aerialink><code>52</code><codeText>Opted Out</codeText><transactions><transaction>"
            "<transactionGUID>G</transactionGUID><messageType>Submit</messageType>"
            "<code>52</code><codeText>Opted Out</codeText>"
            "<extendedStatusCode>30003</extendedStatusCode><messageState>REJECTD</messageState>"
            "<source>12025550100</source><destination>12025550199</destination><parts>0</parts>"
            "<clientReference/><submitDate>T</submitDate></transaction></transactions></aerialink>"
        )

    async def test_e_r24_errors(self) -> None:
        """E-R24: the four of the example."""
        await self.begin_american()
        assert await self.document("/v4/lists", "-H", "Authorization:") == (
            '{"aerialink":{"code":1001,"errorCode":"E100001","detail":"Credentials missing"}}'
        )
        assert await self.document("/v4/messages", "-d", "source=12025550100&messageText=x") == (
            '{"aerialink":{"code":1011,"errorCode":"E200001",'
            '"detail":"Parameter missing: destination"}}'
        )
        form = "source=12025550177&destination=12025550123&messageText=x"
        assert (await self.document("/v4/messages.xml", "-d", form)).endswith(
            "<aerialink><code>1022</code><errorCode>E200002</errorCode>"
            "<detail>Source not provisioned: 12025550177</detail></aerialink>"
        )
        assert await self.document("/v4/messages/3f0c9b1e-7a52-4c1d-9e55-0d8c2f6a4b10") == (
            '{"aerialink":{"code":1041,"errorCode":"E500001","detail":"Unknown transaction"}}'
        )

    async def test_lists(self) -> None:
        """A list is made, and three numbers are added, one of which is none."""
        await self.begin_american()
        made = await self.document("/v4/lists", "-d", "name=spring&type=contact")
        assert made.startswith(
            '{"aerialink":{"code":10,"lists":{"list":{"listId":"G","name":"spring",'
            '"type":"contact",'
        )
        listed = await self.get("/v4/lists")
        [one] = [each for each in listed["lists"]["list"] if each["name"] == "spring"]
        path = f"/v4/lists/{one['listId']}/members"
        assert await self.document(path, "-d", "numbers=12025550123,12025550124,abc") == (
            '{"aerialink":{"code":10,"members":{"member":['
            '{"number":"12025550123","result":"added"},'
            '{"number":"12025550124","result":"added"},{"number":"abc","result":"invalid"}]}}}'
        )

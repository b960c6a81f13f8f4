"""What must hold for any octets: one function for each place where a stranger's octets come in.

Each takes the octets that were made up and asserts; that nothing but a fault of the place's own
comes out is part of every law. ``tests/fuzz/test_laws.py`` tries them with hypothesis and the kept
corpus, ``make fuzz`` with a coverage-guided fuzzer.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from smsgw.http import multipart, parameters, rest_bodies
from smsgw.http.server import HttpServerFactory, Limits, Request, Response, Site
from smsgw.message import UDHI, Message, Receipt
from smsgw.refusals import Refusal
from smsgw.smpp import data_sm, receipt, rewriting, shown, tlv, translate
from smsgw.smpp.codec import decode, encode
from smsgw.smpp.constants import HEADER, MAX_PDU, RESPONSE, VERSION_34, Command
from smsgw.smpp.events import BindRequested, Requests, Responses, Timers
from smsgw.smpp.faults import FramingFault, PduFault
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import (
    CLASSES,
    BindTransceiver,
    BindTransceiverResp,
    DataSm,
    DeliverSm,
    Pdu,
    SubmitSm,
)
from smsgw.smpp.session import Session
from smsgw.smpp.states import Role, State
from smsgw.smpp.versions import answer_with
from smsgw.text import coding, national, parts, reading

WINDOW = 3
NOW_MS = 1_773_000_000_000
# No timer is due while a law runs, so that every answer has been led to by octets.
QUIET = Timers(session_init_s=0, enquire_after_s=0, response_s=1e9, unbind_grace_s=1e9)


def pieces(data: bytes) -> Iterator[bytes]:
    """Octets after the first cut as TCP may cut them; the first says how."""
    steps = cycle((len(data), 1, 3, 17, 64)[: 1 + data[0] % 5] if data else (1,))
    at = 1
    while at < len(data):
        step = next(steps)
        yield data[at : at + step]
        at += step


def framing(data: bytes) -> None:
    """A stream is cut into PDUs and faults, the same however it came; what can be read can be
    written and read again."""
    framer = Framer()
    items = []
    for piece in pieces(data):
        items += framer.feed(piece)
        assert len(framer.rest) < MAX_PDU + HEADER
    assert list(map(repr, items)) == list(map(repr, Framer().feed(data[1:])))
    for item in items:
        if not isinstance(item, Pdu):
            assert isinstance(item, PduFault | FramingFault)
            continue
        octets = encode(item)
        assert encode(decode(octets)) == octets
        if isinstance(item, SubmitSm):
            _submit(item)
        elif isinstance(item, DeliverSm | DataSm):
            _delivery(item)
        view = shown.shown(octets)
        assert len(view.octets) == int.from_bytes(view.octets[:4], "big")


def _submit(pdu: SubmitSm) -> None:
    """It is a message, which can be sent on in one PDU for each part, or it is refused."""
    message = translate.message_of(pdu, NOW_MS)
    if isinstance(message, Refusal):
        return
    header, octets = b"", message.parts[0]
    if message.esm_class & UDHI:
        header, octets = parts.udh(octets)
    if len(header) > parts.OCTETS:
        return
    try:
        message.parts = parts.split(octets, message.data_coding, 1, header)
    except ValueError:  # too many parts, or no room for them
        return
    if len(message.parts) > 1:
        message.esm_class |= UDHI
    for form, alphabet in zip(rewriting.FORMS, cycle(rewriting.ALPHABETS)):
        change = rewriting.rewriting(
            long=form, transliterate=True, alphabet=alphabet, packed=alphabet == "gsm"
        )
        for number in range(min(3, len(message.parts))):
            sent = translate.submit_of(message, number, NOW_MS, 172_800_000)
            if change is not None:
                change.apply(sent)
            for one in (sent, data_sm.submission_of(sent)):
                one.sequence = 1
                encode(one)


def _delivery(pdu: DeliverSm | DataSm) -> None:
    """It is a receipt or a message from a handset, and both have a form."""
    found = receipt.parse(pdu)
    assert found is None or isinstance(found, Receipt)
    if isinstance(pdu, DataSm) and not data_sm.fault(pdu):
        _submit(data_sm.submit_of(pdu))
        pdu = data_sm.deliver_of(pdu)
    if isinstance(pdu, DeliverSm):
        for alphabet in rewriting.ALPHABETS:
            told = evolve(pdu)
            read = rewriting.reading(alphabet, packed=True, country="44")
            assert read is not None
            read.unpack(told)
            receipt.parse(told)
            read.apply(told)
            _handed_over(told)
        _handed_over(pdu)


def _handed_over(pdu: DeliverSm) -> None:
    """A message from a handset, told to people and brought to ESMEs, also to those of 3.3."""
    message = translate.mo_of(pdu)
    reading.read(message)
    again = translate.deliver_of(message)
    try:
        segments = translate.segments_of(again)
    except ValueError:  # more than 255, or a header that is none
        segments = []
    for one in (again, *segments, data_sm.delivery_of(again)):
        one.sequence = 1
        encode(one)


def _headers(stream: bytes) -> Iterator[tuple[int, int]]:
    """command_id and sequence_number of each complete PDU, by the header alone."""
    at = 0
    while at + HEADER <= len(stream):
        length = int.from_bytes(stream[at : at + 4], "big")
        if not HEADER <= length <= MAX_PDU or at + length > len(stream):
            return
        yield (
            int.from_bytes(stream[at + 4 : at + 8], "big"),
            int.from_bytes(stream[at + 12 : at + 16], "big"),
        )
        at += length


def smsc_session(data: bytes) -> None:
    """A server's session answers every complete request once, or ends; it never keeps more than its
    window."""
    session = Session(Role.SMSC, QUIET, 0.0)
    waiting: list[Pdu] = []
    said = b""

    def answer() -> None:
        session.respond([answer_with(pdu, 0) for pdu in waiting], 0.0)
        waiting.clear()

    for number, piece in enumerate(pieces(data)):
        for event in session.receive(piece, 0.0):
            if isinstance(event, BindRequested):
                if session.ended or session._bind is not event.pdu:  # unbound in the same read
                    continue
                version = min(event.pdu.interface_version, VERSION_34)
                response = CLASSES[event.pdu.COMMAND | RESPONSE](system_id=b"smsc")
                session.accept(
                    response,
                    0.0,
                    version=version,
                    tlvs=version >= VERSION_34,
                    window_out=WINDOW,
                    window_in=WINDOW,
                )
            elif isinstance(event, Requests):
                waiting += event.pdus
        assert session.unanswered <= WINDOW
        assert len(session.unread) < MAX_PDU + HEADER
        if number % 3 == 2:
            answer()
        said += session.take()
    answer()
    said += session.take()
    answers = Counter(sequence for command, sequence in _headers(said) if command & RESPONSE)
    asked = Counter(sequence for command, sequence in _headers(data[1:]) if not command & RESPONSE)
    if session.ended:
        # A lost frame boundary is answered too; unbind_resp may have come before answers.
        assert (answers - asked).total() <= 1
    else:
        assert answers == asked, (answers, asked)


def esme_session(data: bytes) -> None:
    """A client's session gives every context back once, and answers every request of the carrier
    once, or ends."""
    session = Session(Role.ESME, QUIET, 0.0, window_out=WINDOW)
    session.bind(BindTransceiver(interface_version=VERSION_34), 0.0)
    bound = BindTransceiverResp(sequence=1, system_id=b"smsc", tlvs=[(0x0210, b"\x34")])
    session.receive(encode(bound), 0.0)
    session.take()
    given = [object() for _ in range(WINDOW)]
    session.request([(SubmitSm(), context) for context in given], 0.0)
    session.take()
    back: list[object] = []
    said = b""
    for piece in pieces(data):
        waiting: list[Pdu] = []
        for event in session.receive(piece, 0.0):
            if isinstance(event, Responses):
                back += [context for context, _ in event.answers]
            elif isinstance(event, Requests):
                waiting += [pdu for pdu in event.pdus if pdu.COMMAND != Command.ALERT_NOTIFICATION]
        if waiting:
            session.respond([answer_with(pdu, 0) for pdu in waiting], 0.0)
        said += session.take()
        assert len(session.unread) < MAX_PDU + HEADER
    ended, unbinding = session.ended, session.state is State.UNBOUND
    back += [context for context, _ in session.close()]
    assert sorted(map(id, back)) == sorted(map(id, given))
    answers = Counter(sequence for command, sequence in _headers(said) if command & RESPONSE)
    asked = Counter(
        sequence
        for command, sequence in _headers(data[1:])
        if not command & RESPONSE and command != Command.ALERT_NOTIFICATION
    )
    if not ended:
        # An alert_notification that cannot be read is nacked; one that can has no answer. An
        # unbind has its answer when ours have come.
        assert (asked - answers).total() <= unbinding


def receipts(data: bytes) -> None:
    """Any text in any data_coding is a receipt or none; what is read can be written."""
    head, text = data[:3].ljust(3, b"\0"), data[3:]
    payload = [(0x0424, text)] if len(text) > 254 else []
    pdu = DeliverSm(
        esm_class=head[0],
        data_coding=head[1],
        short_message=b"" if payload else text,
        tlvs=payload,
    )
    found = receipt.parse(pdu, by_text=bool(head[2] & 1))
    if found is not None:
        octets = receipt.format_text(found, seconds=bool(head[2] & 2))
        assert len(octets) <= 254
        again = receipt.parse(DeliverSm(esm_class=4, short_message=octets))
        assert again is not None
        assert again.state == found.state


def tlvs(data: bytes) -> None:
    """TLVs are read, or the PDU has its status; each value is read and written back."""
    body = encode(SubmitSm(sequence=1, destination_addr=b"1"))
    octets = (len(body) + len(data)).to_bytes(4, "big") + body[4:] + data
    if len(octets) > MAX_PDU:
        return
    try:
        pdu = decode(octets)
    except PduFault:
        return
    assert isinstance(pdu, SubmitSm)
    for tag, octets_of in pdu.tlvs:
        found = tlv.value(tag, octets_of)
        assert tlv.get(pdu, tag) is not None
        if isinstance(found, int):
            assert tlv.put(tag, found)[0] == tag
    assert encode(decode(encode(pdu))) == encode(pdu)


def headers(data: bytes) -> None:
    """A user data header is read or refused; the text behind it is read in every data_coding; parts
    are joined or refused."""
    data_coding, octets = (data[0], data[1:]) if data else (0, b"")
    concat = parts.concat(octets)
    assert concat is None or 0 < concat[2] <= concat[1] <= 255
    try:
        header, text = parts.udh(octets)
    except ValueError:
        assert concat is None or octets[:3] == b"\x05\x00\x03"
        header, text = b"", octets
    assert header + text == octets
    if header:
        rebuilt = b"".join(bytes((iei, len(of))) + of for iei, of in parts.elements(octets))
        assert rebuilt == header[1:]
        assert len(parts.without_concatenation(octets)) <= len(header)
    read = coding.decode(data_coding, text, header)
    assert read is None or isinstance(read, str)
    national.decode(text, *national.tables(header))
    halves = [octets[: len(octets) // 2], octets[len(octets) // 2 :]]
    for told in ([octets], halves):
        with contextlib.suppress(ValueError):
            parts.join(told)
        reading.read(Message("1", "2", data_coding=data_coding, esm_class=UDHI, parts=told))


def http(data: bytes) -> None:
    """A connection answers or waits; it keeps a bounded part of what it was sent."""
    site = Site()
    site.add("", _echo, body_limit=9_000)
    factory = HttpServerFactory(site, Clock(), Limits(head=1_000, target=1_000))
    connection = factory.buildProtocol(None)
    wire = _Wire()
    connection.makeConnection(wire)
    for piece in pieces(data):
        if wire.disconnecting or wire.aborted:
            break
        connection.dataReceived(piece)
        assert len(connection._reader._body) <= 9_000 + len(piece)
    assert wire.value() == b"" or wire.value().startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500 " not in wire.value()
    connection.connectionLost()


class _Wire(StringTransport):
    """A transport that can be cut off."""

    aborted = False

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True


def _echo(request: Request) -> Response:
    """Reads what the dialects read of a request."""
    bodies(b"\0" + request.body)
    for read in (parameters.of_query, parameters.of_body):
        with contextlib.suppress(parameters.Unreadable):
            read(request)
    return Response(200, b"seen")


_TYPES = (
    b"application/x-www-form-urlencoded",
    b"application/json",
    b"application/xml",
    b"multipart/form-data; boundary=x",
    b"text/plain",
)


def bodies(data: bytes) -> None:
    """A body of any type is parameters, or a fault of the dialect."""
    kind, body = (data[0], data[1:]) if data else (0, b"")
    content_type = _TYPES[kind % len(_TYPES)]
    request = Request("POST", b"/", {b"content-type": content_type}, body)
    with contextlib.suppress(rest_bodies.ParameterError):
        rest_bodies.read_body(request)
    with contextlib.suppress(parameters.Unreadable):
        parameters.of_body(request)
    with contextlib.suppress(multipart.MultipartError):
        multipart.pairs(b"multipart/form-data; boundary=x", body)


LAWS: dict[str, Callable[[bytes], Any]] = {
    law.__name__: law
    for law in (
        framing,
        smsc_session,
        esme_session,
        receipts,
        tlvs,
        headers,
        http,
        bodies,
    )
}

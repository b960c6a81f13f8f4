"""What a carrier gets and gives in another form than the gateway's own: addresses, alphabets, the
form of long messages, packed septets."""

from attrs import define

from smsgw.refusals import Reason
from smsgw.smpp.constants import ESM_UDHI, Tag
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.text import coding, gsm, national, numbers, parts, transliterate

_GSM = 0  # data_coding
_UCS2 = 8
# data_coding of UCS-2, and that of the GSM alphabet with the same class.
_GSM_OF = {_UCS2: _GSM, **{0x18 + n: 0x10 + n for n in range(4)}}
# What data_coding 0 may stand for, and Python's codec of it.
ALPHABETS = {"gsm": "", "latin1": "latin-1", "ascii": "ascii"}
# Forms of long messages (spec/smpp.md §12). "udh" leaves a header as it is.
FORMS = ("udh", "udh8", "udh16", "sar", "payload")
_CONCAT_8, _CONCAT_16 = 0x00, 0x08
# An octet above 0x7F, of a submitter that takes data_coding 0 for Latin-1, is no septet.
_SEPTETS = bytes(range(0x80)) + b"?" * 0x80
_LONGEST = 15  # digits of an international number (E.164)
_TRUNK = b"0"  # what a national number is dialled with


@define(frozen=True)
class Rewriting:
    """What a carrier gets in place of what the message has.

    ``fields``: those of submit_sm with their values. ``transliterate``: parts in UCS-2 that can be
    are in GSM. ``codec``: data_coding 0 stands for it, "" for the GSM alphabet. ``long``: one of
    ``FORMS``. ``packed``: septets are packed into octets. ``country``: destinations of this dial
    code are in national form, after ``trunk``.
    """

    fields: tuple[tuple[str, int | bytes], ...] = ()
    transliterate: bool = False
    codec: str = ""
    long: str = "udh"
    packed: bool = False
    country: bytes = b""
    trunk: bytes = b""

    def apply(self, pdu: SubmitSm, tlvs: bool = True, whole: bool = False) -> None:
        """Writes it into ``pdu``; ``tlvs``: whether the session has them; ``whole``: it may be
        longer than a part."""
        home = self.country and pdu.dest_addr_ton == numbers.INTERNATIONAL
        if home and pdu.destination_addr.startswith(self.country):
            pdu.destination_addr = self.trunk + pdu.destination_addr[len(self.country) :]
            pdu.dest_addr_ton = numbers.NATIONAL
        for name, value in self.fields:
            setattr(pdu, name, value)
        if self.transliterate and pdu.data_coding in _GSM_OF:
            _transliterate(pdu, whole)
        if self.codec and pdu.data_coding == _GSM:
            _recode(pdu, self.codec, whole)
        if self.long not in ("udh", "payload") and pdu.esm_class & ESM_UDHI:
            _reform(pdu, self.long if tlvs or self.long != "sar" else "udh8")
        if self.packed and coding.alphabet(pdu.data_coding) is coding.Alphabet.GSM:
            header, octets = _divided(pdu)
            pdu.short_message = header + gsm.pack(octets.translate(_SEPTETS), _fill(header))

    def whole(self, pdu: SubmitSm, octets: list[bytes]) -> None:
        """Makes ``pdu``, which has the first part of a long message, the whole of it, of which
        ``octets`` are the parts: in message_payload."""
        headers = parts.without_concatenation(octets[0])
        pdu.short_message = headers + parts.join(octets)
        if not headers:
            pdu.esm_class &= ~ESM_UDHI
        self.apply(pdu, whole=True)
        pdu.tlvs = [*pdu.tlvs, (int(Tag.MESSAGE_PAYLOAD), pdu.short_message)]
        pdu.short_message = b""


def _divided(pdu: SubmitSm | DeliverSm, octets: bytes | None = None) -> tuple[bytes, bytes]:
    """User data header, "" without one, and text."""
    octets = pdu.short_message if octets is None else octets
    if not pdu.esm_class & ESM_UDHI:
        return b"", octets
    try:
        return parts.udh(octets)
    except ValueError:
        return b"", octets  # not what it claims to be


def _fill(header: bytes) -> int:
    """Bits between a header and the first septet after it (``spec/smpp.md`` §12)."""
    return -len(header) * 8 % 7


def _transliterate(pdu: SubmitSm, whole: bool) -> None:
    """Writes a part in UCS-2 in the GSM alphabet, if everything in it has a look-alike there and it
    still fits; its class and its header stay."""
    header, octets = _divided(pdu)
    text = transliterate.if_gsm(octets.decode("utf-16-be", "replace"))
    septets = gsm.encode(text) if text is not None else None
    data_coding = _GSM_OF[pdu.data_coding]
    # A ligature or a fraction becomes several characters.
    if septets is not None and (whole or _fits(septets, data_coding, header)):
        pdu.data_coding = data_coding
        pdu.short_message = header + septets


def _fits(octets: bytes, data_coding: int, header: bytes) -> bool:
    """True if a part holds it."""
    return len(octets) <= parts.capacity(data_coding, len(header))


def _recode(pdu: SubmitSm, codec: str, whole: bool) -> None:
    """Writes a part in the GSM alphabet in that which data_coding 0 stands for.

    A character that is not in it makes the part UCS-2, if it still fits; else it becomes one that
    looks like it, or a question mark.
    """
    header, octets = _divided(pdu)
    text = national.decode(octets, *national.tables(header))
    plain = national.without(header) if header else header
    try:
        written, data_coding = text.encode(codec), _GSM
    except UnicodeEncodeError:
        written, data_coding = text.encode("utf-16-be"), _UCS2
        if not whole and not _fits(written, data_coding, plain):
            similar = "".join(one if _in(one, codec) else _similar(one) for one in text)
            written, data_coding = similar.encode(codec, "replace"), _GSM
    pdu.short_message, pdu.data_coding = plain + written, data_coding
    if header and not plain:
        pdu.esm_class &= ~ESM_UDHI


def _in(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _similar(character: str) -> str:
    found = transliterate.if_gsm(character) or ""
    return found if len(found) == 1 and found.isascii() else "?"


def _reform(pdu: SubmitSm, form: str) -> None:
    """Says which part it is in another form; one that would not fit any more stays as it is."""
    place = parts.concat(pdu.short_message)
    if place is None:
        return
    reference, total, number = place
    header, octets = parts.udh(pdu.short_message)
    rest = parts.without_concatenation(header)
    if form == "sar":
        pdu.short_message = rest + octets
        if not rest:
            pdu.esm_class &= ~ESM_UDHI
        pdu.tlvs = [
            *pdu.tlvs,
            (int(Tag.SAR_MSG_REF_NUM), reference.to_bytes(2)),
            (int(Tag.SAR_TOTAL_SEGMENTS), bytes((total,))),
            (int(Tag.SAR_SEGMENT_SEQNUM), bytes((number,))),
        ]
        return
    if form == "udh16":
        element = bytes((_CONCAT_16, 4)) + reference.to_bytes(2) + bytes((total, number))
    else:
        element = bytes((_CONCAT_8, 3, reference & 0xFF, total, number))
    elements = element + rest[1:]
    written = bytes((len(elements),)) + elements
    if _fits(octets, pdu.data_coding, written):
        pdu.short_message = written + octets


def rewriting(
    sender: str = "",
    source_ton: int | None = None,
    source_npi: int | None = None,
    dest_ton: int | None = None,
    dest_npi: int | None = None,
    protocol_id: int | None = None,
    transliterate: bool = False,
    alphabet: str = "gsm",
    long: str = "udh",
    packed: bool = False,
    country: str = "",
    send_national: str = "no",
) -> Rewriting | None:
    """The rewriting of these values, None if there is nothing to rewrite.

    ``sender``, unless empty, is the source of all, with the TON and NPI of its form; numbers are
    set as they are, unless None; the others are those of ``Rewriting``.
    """
    fields: dict[str, int | bytes | None] = {}
    if sender:
        fields["source_addr"] = sender.encode("latin-1")
        found = numbers.detect_source(sender, numbers.UNKNOWN, "")
        if not isinstance(found, Reason):
            _, fields["source_addr_ton"], fields["source_addr_npi"] = found
    given = {
        "source_addr_ton": source_ton,
        "source_addr_npi": source_npi,
        "dest_addr_ton": dest_ton,
        "dest_addr_npi": dest_npi,
        "protocol_id": protocol_id,
    }
    fields.update((name, value) for name, value in given.items() if value is not None)
    kept = tuple((name, value) for name, value in fields.items() if value is not None)
    of = country.encode() if send_national != "no" else b""
    trunk = _TRUNK if send_national == "trunk" and of else b""
    made = Rewriting(kept, transliterate, ALPHABETS[alphabet], long, packed, of, trunk)
    return made if made != Rewriting() else None


@define(frozen=True)
class Reading:
    """How what a carrier sends is read: ``codec`` and ``packed`` as of ``Rewriting``; numbers in
    national form are those of ``country``."""

    codec: str = ""
    packed: bool = False
    country: bytes = b""

    def apply(self, pdu: DeliverSm) -> None:
        """Writes ``pdu`` as the gateway has it: text in unpacked septets or Latin-1, numbers in
        international form."""
        if self.country:
            pdu.source_addr, pdu.source_addr_ton = self._international(
                pdu.source_addr, pdu.source_addr_ton
            )
            pdu.destination_addr, pdu.dest_addr_ton = self._international(
                pdu.destination_addr, pdu.dest_addr_ton
            )
        payload = _payload(pdu)
        octets = pdu.short_message or payload
        if self.packed and coding.alphabet(pdu.data_coding) is coding.Alphabet.GSM:
            octets = self._unpacked(pdu, octets)
        if self.codec and pdu.data_coding == _GSM:
            header, text = _divided(pdu, octets)
            septets = gsm.encode(text.decode(self.codec, "replace"))
            if septets is not None:
                octets = header + septets
            else:
                pdu.data_coding = coding.LATIN1
        if pdu.short_message or not payload:
            pdu.short_message = octets
        else:
            pdu.tlvs = [
                (tag, octets if tag == Tag.MESSAGE_PAYLOAD else value) for tag, value in pdu.tlvs
            ]

    def _international(self, address: bytes, ton: int) -> tuple[bytes, int]:
        trunk = address.startswith(_TRUNK) and not address.startswith(b"00")
        national = ton == numbers.NATIONAL or (ton == numbers.UNKNOWN and trunk)
        if not national or not address.isdigit():
            return address, ton
        number = self.country + address.removeprefix(_TRUNK)
        if len(number) > _LONGEST:  # no number, and no PDU might hold it
            return address, ton
        return number, numbers.INTERNATIONAL

    def unpack(self, pdu: DeliverSm) -> None:
        """The same for a receipt, whose text may or may not be packed: no septet has bit 7."""
        if self.packed and not pdu.data_coding and not pdu.short_message.isascii():
            pdu.short_message = self._unpacked(pdu, pdu.short_message)

    def _unpacked(self, pdu: DeliverSm, octets: bytes) -> bytes:
        header, packed = _divided(pdu, octets)
        fill = _fill(header)
        septets = gsm.unpack(packed, fill=fill)
        # Seven bits to spare look like one more septet; who packs fills them with @ or CR.
        spare = (len(packed) * 8 - fill) % 7 == 0
        return header + (septets[:-1] if spare and septets[-1:] in (b"\0", b"\r") else septets)


def _payload(pdu: DeliverSm) -> bytes:
    return next((value for tag, value in pdu.tlvs if tag == Tag.MESSAGE_PAYLOAD), b"")


def reading(alphabet: str = "gsm", packed: bool = False, country: str = "") -> Reading | None:
    """The reading of these values, None if there is nothing to change."""
    made = Reading(ALPHABETS[alphabet], packed, country.encode())
    return made if made != Reading() else None

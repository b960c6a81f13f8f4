"""The arguments of MAIL and RCPT: paths and ESMTP parameters (RFC 5321 §4.1.2, RFC 3461)."""

import re

from attrs import field, frozen

from smsgw.smtp import replies
from smsgw.smtp.replies import Reply

_ATOM = r"[-A-Za-z0-9!#$%&'*+/=?^_`{|}~]"
_LOCAL = rf'{_ATOM}+(?:\.{_ATOM}+)*|"(?:[ !#-\[\]-~]|\\[ -~])*"'
_DOMAIN = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[A-Za-z0-9:.]+\]"
# A source route is dropped (RFC 5321 Appendix C); the blank after the colon is often written.
_PATH = re.compile(
    rf"(?:FROM|TO): ?<(?:@[^:<>]{{1,255}}:)?(?:(?P<local>{_LOCAL})@(?P<domain>{_DOMAIN}))?>"
    r"(?: +(?P<more>[!-~ ]*))?",
    re.IGNORECASE,
)
_PARAMETER = re.compile(r"(?P<key>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?")
_HELO = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[A-Za-z0-9:.]+\]")
_LOCAL_MOST = 64
_DOMAIN_MOST = 255
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_ENVID_MOST = 100
_ORCPT_MOST = 500


@frozen
class Sender:
    """What MAIL said; ``address`` is "" for ``<>``."""

    address: str
    size: int = 0  # octets that it announced, 0: it did not
    eight_bit: bool = False
    # DSN (RFC 3461): what of the mail a report shows ("FULL", "HDRS", ""), and what it is called.
    ret: str = ""
    envelope_id: str = ""

    @property
    def domain(self) -> str:
        """In lower case, "" for ``<>``."""
        return self.address.rpartition("@")[2].lower()


@frozen
class Recipient:
    """What one RCPT said."""

    local: str
    domain: str  # in lower case
    notify: frozenset[str] = field(factory=frozenset)  # empty: not said; {"NEVER"}
    original: str = ""  # ORCPT, decoded, such as "rfc822;alice@example.org"

    @property
    def address(self) -> str:
        """Both sides."""
        return f"{self.local}@{self.domain}"


def helo(argument: str) -> bool:
    """True if it is what EHLO and HELO may be followed by."""
    return len(argument) <= _DOMAIN_MOST and _HELO.fullmatch(argument) is not None


def mail(argument: str, dsn: bool) -> Sender | Reply:
    """The argument of MAIL, or why not; ``dsn`` says that its parameters are allowed."""
    found = _path(argument, "FROM")
    if found is None:
        return replies.BAD_MAIL
    local, domain, parameters = found
    if parameters is None:
        return replies.BAD_PARAMETER
    size, eight_bit, ret, envelope_id = 0, False, "", ""
    for key, value in parameters.items():
        if key == "SIZE" and value.isdecimal() and len(value) <= 20:
            size = int(value)
        elif key == "BODY" and value.upper() in ("7BIT", "8BITMIME"):
            eight_bit = value.upper() == "8BITMIME"
        elif key == "AUTH" and value:
            pass  # RFC 4954 §5: who submitted it first is not trusted
        elif dsn and key == "RET" and value.upper() in ("FULL", "HDRS"):
            ret = value.upper()
        elif dsn and key == "ENVID" and 0 < len(value) <= _ENVID_MOST:
            decoded = xtext(value)
            if decoded is None:
                return replies.BAD_PARAMETER
            envelope_id = decoded
        else:
            known = key in ("SIZE", "BODY", "AUTH") or (dsn and key in ("RET", "ENVID"))
            return replies.BAD_PARAMETER if known else replies.UNKNOWN_PARAMETER
    address = f"{local}@{domain}" if local else ""
    return Sender(address, size, eight_bit, ret, envelope_id)


def rcpt(argument: str, dsn: bool) -> Recipient | Reply:
    """The argument of RCPT, or why not."""
    found = _path(argument, "TO")
    if found is None or not found[0]:
        return replies.BAD_RCPT
    local, domain, parameters = found
    if parameters is None:
        return replies.BAD_PARAMETER
    notify: frozenset[str] = frozenset()
    original = ""
    for key, value in parameters.items():
        if not dsn or key not in ("NOTIFY", "ORCPT"):
            return replies.UNKNOWN_PARAMETER
        if key == "NOTIFY":
            notify = frozenset(value.upper().split(","))
            if not (notify == {"NEVER"} or notify <= _NOTIFY):
                return replies.BAD_PARAMETER
        else:
            kind, semicolon, rest = value.partition(";")
            decoded = xtext(rest)
            if not semicolon or not kind or not decoded or len(value) > _ORCPT_MOST:
                return replies.BAD_PARAMETER
            original = f"{kind};{decoded}"
    return Recipient(local, domain.lower(), notify, original)


def _path(argument: str, word: str) -> tuple[str, str, dict[str, str] | None] | None:
    """Local part, domain and parameters (None: malformed); None if it is no path."""
    found = _PATH.fullmatch(argument)
    if found is None or not argument.upper().startswith(word):
        return None
    local, domain = found["local"] or "", found["domain"] or ""
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    if len(local) > _LOCAL_MOST or len(domain) > _DOMAIN_MOST:
        return None
    parameters: dict[str, str] = {}
    for one in (found["more"] or "").split():
        parameter = _PARAMETER.fullmatch(one)
        if parameter is None or parameter["key"].upper() in parameters:
            return local, domain, None
        parameters[parameter["key"].upper()] = parameter["value"] or ""
    return local, domain, parameters


def xtext(text: str) -> str | None:
    """Decodes xtext (RFC 3461 §4); None if it is none, or stands for what is not printable."""
    if re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", text) is None:
        return None
    decoded = re.sub(r"\+([0-9A-F]{2})", lambda hex: chr(int(hex[1], 16)), text)
    return decoded if all(" " <= one <= "~" for one in decoded) else None

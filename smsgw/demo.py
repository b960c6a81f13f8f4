"""The demo: what ``twistd smsgw --demo`` provisions into an empty store, and how to try it."""

import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from attrs import evolve
from twisted.internet.error import CannotListenError
from twisted.logger import Logger, LoggingFile

from smsgw.config import Config, Store
from smsgw.testing.mmsc import Mmsc, MmscScript

if TYPE_CHECKING:
    from smsgw.service import Gateway

_log = Logger()

MMSC_PORT = 2526  # of loopback
_MMSC_DOMAIN = "mms.example.net"
_SMS = "sms.localhost"
_MMS = "mms.localhost"
_TOML = """\
[[account]]
name = "demo"

[[account.credential]]
kind = "smpp"
username = "demo"
password = "{password_smpp}"
allow = ["127.0.0.0/8", "::1"]
binds = 4
window = 50

[[account.credential]]
kind = "http"
username = "demo"
password = "{password_http}"
allow = ["127.0.0.0/8", "::1"]

# The login of sms.cgi is the number that it sends from.
[[account.credential]]
kind = "http"
username = "447700900000"
password = "{password_http}"
allow = ["127.0.0.0/8", "::1"]
interfaces = ["sms.cgi"]

[[account.credential]]
kind = "smtp"
username = "demo"
password = "{password_http}"
allow = ["127.0.0.0/8", "::1"]
identify = "address"

[[account.number]]
address = "447700900000"
targets = ["smpp"]

[[carrier]]
name = "simulator"
kind = "simulator"

# An MMSC that the demo starts beside the gateway.
[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {mmsc_port}
domain = "{mmsc_domain}"
allow = ["127.0.0.0/8"]
tls = "none"

[[route]]
name = "mms"
prefixes = ["4477009008"]
carriers = ["mmsc"]
kinds = ["mms"]

[[route]]
name = "default"
prefixes = [""]
carriers = ["simulator"]
mms = "link"
"""


def provisioning(password_smpp: str, password_http: str) -> str:
    """The demo's provisioning file, TOML. The passwords are letters and digits; that of SMPP has 8 at most."""
    return _TOML.format(
        password_smpp=password_smpp,
        password_http=password_http,
        mmsc_port=MMSC_PORT,
        mmsc_domain=_MMSC_DOMAIN,
    )


# By kind of endpoint; a colon in an endpoint's value is escaped.
_LOOPBACK = {"tcp": "127.0.0.1", "ssl": "127.0.0.1", "tcp6": r"\:\:1"}
_INTERFACE = re.compile(r":interface=((?:\\.|[^:\\])*)")

_NOWHERE = "nowhere"
_WORDS = """
smsgw is running. It listens on:
  SMPP   {smpp}
  REST   {rest}
  mail   {mail}
  admin  {admin}
{try_it}"""

_TRY_REST = """
Send a message:

  curl -s -u demo:{http} {rest}/messages -H 'Content-Type: application/json' \\
    -d '{{"source":"447700900000","destination":"447700900123","messageText":"Hello","registeredDelivery":1}}'

See it delivered (messageState DELIVRD), with the transactionGUID of the answer:

  curl -s -u demo:{http} {rest}/messages/TRANSACTION-GUID

or both in one line:

  G=$(curl -s -u demo:{http} {rest}/messages -d source=447700900000 -d destination=447700900123 \\
    -d messageText=Hello -d registeredDelivery=1 | grep -o '[0-9a-f-]\\{{36\\}}' | head -1); sleep 1; \\
    curl -s -u demo:{http} {rest}/messages/$G
"""

_TRY_MAIL = """
Send an e-mail that becomes an SMS, and one that becomes an MMS and goes to an MMSC by MM4:

  printf 'From: 447700900000@localhost\\n\\nHello by mail\\n' | curl -sv --crlf smtp://{address} -T - \\
    --mail-from me@localhost --mail-rcpt 447700900123@{sms} 2>&1 | grep '250 2.0.0.*-'

  printf 'From: 447700900000@localhost\\nSubject: Hi\\n\\nHello by MM4\\n' | curl -sv --crlf smtp://{address} -T - \\
    --mail-from me@localhost --mail-rcpt 447700900800@{mms} 2>&1 | grep '250 2.0.0.*-'
"""

_TRY_SMPP = """
Connect an ESME (SMPP 3.4): host {host} port {port} system_id demo password {smpp}
"""

_KEPT = """
The passwords are kept in {file}.
"""


def on_loopback(config: Config) -> None:
    """Makes every TCP listener without an interface listen on loopback only, where REST needs no
    TLS, and gives the demo a store, a base of its links to MMS and mail domains of its own, unless
    the configuration names them."""
    if config.store == Store():
        config.store.url = "sqlite:///var/demo/smsgw.db"
    if not config.aerialink.allow_plain_http:
        config.aerialink = evolve(config.aerialink, allow_plain_http="loopback")

    def bounded(endpoint: str) -> str:
        loopback = _LOOPBACK.get(endpoint.partition(":")[0])
        if loopback is None or _INTERFACE.search(endpoint):
            return endpoint
        return f"{endpoint}:interface={loopback}"

    for listener in config.smpp.listen:
        listener.endpoint = bounded(listener.endpoint)
    config.http.listen = [bounded(endpoint) for endpoint in config.http.listen]
    config.http.admin = [bounded(endpoint) for endpoint in config.http.admin]
    for own in config.http.site:
        own.listen = [bounded(endpoint) for endpoint in own.listen]
    config.smtp.listen = [bounded(endpoint) for endpoint in config.smtp.listen]
    domains = config.smtp.domains
    if not domains.sms and not domains.mm4:
        domains.sms, domains.mm4 = _SMS, _MMS
    bases = [base for one in config.http.listen if (base := _base(one)).startswith("http")]
    if bases and not config.http.public_url:
        config.http.public_url = bases[0]


async def begin(gateway: "Gateway", file: Path) -> None:
    """Provisions the demo if nothing is provisioned, and prints how to try it.

    The random passwords are kept in ``file`` (readable by its owner only), so that they can be shown again.
    """
    passwords: dict[str, str] = {}
    if not gateway.tables.version:
        passwords = {"smpp": secrets.token_hex(4), "http": secrets.token_hex(8)}
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as out:
            json.dump(passwords, out)
        text = provisioning(passwords["smpp"], passwords["http"])
        await gateway.apply(text, "demo", False, False, "demo")
    elif file.exists():
        passwords = json.loads(file.read_text())
    config = gateway.config
    smpp = [one.endpoint for one in config.smpp.listen]
    rest = [_rest(one) for one in config.http.listen]
    try_it = ""
    if passwords and "demo" in gateway.tables.accounts:
        urls = [one for one in rest if one.startswith("http")]
        addresses = [address for one in smpp if (address := _address(one))]
        mails = [address for one in config.smtp.listen if (address := _address(one))]
        domains = config.smtp.domains
        if urls:
            try_it += _TRY_REST.format(http=passwords["http"], rest=urls[0])
        logins = {one.kind for one in gateway.tables.accounts["demo"].credential}
        if mails and domains.sms and domains.mm4 and "smtp" in logins:
            mail = ":".join(mails[0])
            try_it += _TRY_MAIL.format(address=mail, sms=domains.sms, mms=domains.mm4)
        if addresses:
            host, port = addresses[0]
            try_it += _TRY_SMPP.format(smpp=passwords["smpp"], host=host, port=port)
        try_it += _KEPT.format(file=file)
    print(
        _WORDS.format(
            smpp=" ".join(":".join(_address(one) or [one]) for one in smpp) or _NOWHERE,
            rest=" ".join(rest) or _NOWHERE,
            mail=" ".join(":".join(_address(one) or [one]) for one in config.smtp.listen)
            or _NOWHERE,
            admin=" ".join(config.http.admin) or _NOWHERE,
            try_it=try_it,
        ),
        file=_paper(),
        flush=True,
    )


def start_mmsc(gateway: "Gateway") -> None:
    """Starts the MMSC of the demo, if that is provisioned, until the gateway stops."""
    form = gateway.tables.carriers.get("mmsc")
    mails = [address for one in gateway.config.smtp.listen if (address := _address(one))]
    if form is None or (form.host, form.port) != ("127.0.0.1", MMSC_PORT) or not mails:
        return
    script = MmscScript(_MMSC_DOMAIN, report_s=1.0, retry_s=5.0)
    mmsc = Mmsc(script, gateway.reactor, int(mails[0][1]), keep=0)
    try:
        mmsc.start(MMSC_PORT)
    except CannotListenError as error:
        _log.warn("demo: no MMSC: {why}", why=str(error))
        return
    gateway.reactor.addSystemEventTrigger("before", "shutdown", mmsc.stop)


def _paper() -> TextIO:
    """Standard output itself: what twistd has put in its place logs each line, with the time
    before it, and nothing of that can be pasted."""
    if isinstance(sys.stdout, LoggingFile) and sys.__stdout__ is not None:
        return sys.__stdout__
    return sys.stdout


def _rest(endpoint: str) -> str:
    """The URL of REST on a TCP endpoint, for people; another endpoint as it is."""
    base = _base(endpoint)
    return f"{base}/v4" if base.startswith("http") else endpoint


def _base(endpoint: str) -> str:
    """The URL of a TCP endpoint; another endpoint as it is."""
    address = _address(endpoint)
    scheme = "https" if endpoint.startswith("ssl:") else "http"
    return f"{scheme}://{':'.join(address)}" if address else endpoint


def _address(endpoint: str) -> tuple[str, str] | None:
    """Host and port of a TCP endpoint, for people; None if it is of another kind."""
    kind, _, rest = endpoint.partition(":")
    if kind not in _LOOPBACK:
        return None
    interface = _INTERFACE.search(endpoint)
    host = interface[1].replace("\\", "") if interface else "127.0.0.1"
    return f"[{host}]" if ":" in host else host, rest.partition(":")[0]

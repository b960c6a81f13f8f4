"""Where the mail of a domain is taken: its mail exchangers (RFC 5321 §5.1)."""

from typing import Any

from twisted.names import client, dns
from twisted.names.error import DNSNameError, DomainError

_MOST = 5  # of a domain, that are tried

dns.DNSDatagramProtocol.noisy = False  # a line in the log for each question


class TakesNoMail(Exception):
    """The domain says that it takes none (RFC 7505)."""


async def exchangers(domain: str, resolver: Any = None) -> list[str]:
    """Hosts in the order to try; none if the name servers do not tell.

    ``resolver`` is a ``twisted.names`` one, None: the system's. Raises ``TakesNoMail``.
    """
    try:
        answers, _, _ = await (resolver or client).lookupMailExchange(domain)
    except DNSNameError:
        answers = []  # connecting tells that there is no such host
    except DomainError:
        return []
    found = sorted(
        (one.payload.preference, str(one.payload.name)) for one in answers if one.type == dns.MX
    )
    if not found:
        return [domain]
    if not found[0][1].strip("."):
        raise TakesNoMail("the domain takes no mail")
    return [name for _, name in found[:_MOST]]

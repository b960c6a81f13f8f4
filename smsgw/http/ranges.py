"""Range requests (RFC 9110 §14): which octets of a whole are asked for."""

import re

_ONE = re.compile(r"bytes=[ \t]*(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))[ \t]*", re.ASCII)


class Unsatisfiable(Exception):
    """None of the octets that are asked for is there."""


def asked(header: bytes | None, size: int) -> tuple[int, int] | None:
    """First octet and count of one range; None if the whole is meant.

    What is no range, or several of them, means the whole. Raises ``Unsatisfiable``.
    """
    found = _ONE.fullmatch(header.decode("latin-1")) if header is not None else None
    if found is None:
        return None
    first, last, tail = found.groups()
    if tail is not None:
        count = min(int(tail), size)
        start = size - count
    else:
        start = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
        count = end - start + 1
    if count <= 0 or start >= size:
        raise Unsatisfiable
    return start, count

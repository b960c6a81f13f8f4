"""Writes the straight-line Python of the codec from the table in ``pdu``, once at import.

How it works. For each class two functions are written as source and compiled.

``encode(p)`` packs everything up to a message or a list by one ``Struct`` whose format has the
lengths of the strings in it (``6sx`` is a string of six octets and its 00). These structs are kept
by the tuple of lengths, so a length is checked once, when its struct is made, and integers are
range-checked by ``struct`` itself; what is left for each PDU is to look for a 00 within a string.
Whatever does not fit raises something; the caller then walks the fields slowly to say which one it
was.

``decode(data, i, end, status, sequence, tlvs)`` reads a body that lies in ``data`` from ``i`` to
``end`` without cutting it out. One regular expression takes the same segment apart, lengths of
strings included; neighbouring integers are one group of it. Here too a fault raises something, and
the caller walks the fields to find the status to answer.
"""

import re
from collections.abc import Callable
from struct import Struct
from typing import Any

from smsgw.smpp.constants import HEADER, MAX_PDU, RESPONSE, Command
from smsgw.smpp.fields import COctets, Int, Many, Octets, Tlvs, Wire, table
from smsgw.smpp.pdu import Pdu

_CODES = {1: "B", 2: "H", 4: "I"}
_MANY_STRUCTS = 2048  # of one segment; then they are forgotten, to bound memory

Shape = tuple[Callable[..., bytes], int]
Field = tuple[str, Wire]


def _shape_maker(
    shapes: dict[Any, Shape], fields: list[Field], head: bool, counted: bool
) -> Callable[..., Shape]:
    """A function that makes, keeps and returns ``pack`` and size of a segment for some lengths."""
    limits = [wire.limit for _, wire in fields if isinstance(wire, COctets)]

    def make(*lengths: int) -> Shape:
        if any(length >= limit for length, limit in zip(lengths, limits, strict=True)):
            raise ValueError("too long")
        rest = iter(lengths)
        codes = ["IIII"] if head else []
        for _, wire in fields:
            codes.append(_CODES[wire.size] if isinstance(wire, Int) else f"{next(rest)}sx")
        struct = Struct(">" + "".join(codes) + ("B" if counted else ""))
        if len(shapes) >= _MANY_STRUCTS:
            shapes.clear()
        shape = shapes[lengths] = struct.pack, struct.size
        return shape

    return make


def _segments(fields: list[Field]) -> list[tuple[list[Field], Field | None]]:
    """The fields in runs of integers and strings, each with the message or list that ends it."""
    runs: list[tuple[list[Field], Field | None]] = []
    run: list[Field] = []
    for name, wire in fields:
        if isinstance(wire, Octets | Many):
            runs.append((run, (name, wire)))
            run = []
        elif not isinstance(wire, Tlvs):
            run.append((name, wire))
    if run or not runs:
        runs.append((run, None))
    return runs


def encoder(cls: type[Pdu], names: dict[str, Any]) -> Callable[[Any], bytes]:
    """The function that encodes PDUs of ``cls``; ``names`` has what writes lists and TLVs."""
    fields = table(cls)
    has_tlvs = any(isinstance(wire, Tlvs) for _, wire in fields)
    space: dict[str, Any] = dict(names)
    space["bare"] = Struct(">IIII").pack
    lines: list[str] = []
    add = lines.append
    packs: list[str] = []
    sizes: list[str] = []
    command = int(cls.COMMAND)
    header = f"{command}, p.status, p.sequence"
    bare = bool(command & RESPONSE) and command != Command.DELIVER_SM_RESP
    if bare and any(not isinstance(wire, Tlvs) for _, wire in fields):
        add("if p.status" + (" and not p.tlvs:" if has_tlvs else ":"))
        add(f"    return bare({HEADER}, {header})")
    variable = 0
    for number, (run, last) in enumerate(_segments(fields)):
        head = number == 0
        shapes: dict[Any, Shape] = {}
        make = _shape_maker(shapes, run, head, last is not None)
        arguments = [f"LENGTH, {header}"] if head else []
        strings = []
        for name, wire in run:
            if isinstance(wire, COctets):
                local = f"s{variable}"
                variable += 1
                strings.append(local)
                arguments.append(local)
                add(f"{local} = p.{name}")
                add(f"if {local} and 0 in {local}:")
                add("    raise ValueError")
            else:
                arguments.append(f"p.{name}")
        if strings:
            space[f"shapes{number}"] = shapes
            space[f"make{number}"] = make
            lengths = ", ".join(f"len({local})" for local in strings)
            key = lengths + ("," if len(strings) == 1 else "")
            add("try:")
            add(f"    pack{number}, size{number} = shapes{number}[{key}]")
            add("except KeyError:")
            add(f"    pack{number}, size{number} = make{number}({lengths})")
            sizes.append(f"size{number}")
        else:
            space[f"pack{number}"], size = make()
            sizes.append(str(size))
        if last is None:
            packs.append(f"pack{number}({', '.join(arguments)})")
            continue
        name, wire = last
        add(f"m{number} = p.{name}")
        add(f"n{number} = len(m{number})")
        packs.append(f"pack{number}({', '.join([*arguments, f'n{number}'])})")
        if isinstance(wire, Octets):
            add(f"if n{number} > {wire.limit}:")
            add("    raise ValueError")
            packs.append(f"m{number}")
            sizes.append(f"n{number}")
        elif isinstance(wire, Many):
            add(f"if not {wire.least} <= n{number} <= {wire.most}:")
            add("    raise ValueError")
            add(f"m{number} = write_{wire.kind}(m{number})")
            packs.append(f"m{number}")
            sizes.append(f"len(m{number})")
    length = " + ".join(sizes)
    octets = " + ".join(packs)
    if has_tlvs:
        add("if p.tlvs:")
        add("    t = write_tlvs(p.tlvs)")
        add(f"    length = {length} + len(t)")
        add(f"    if length > {MAX_PDU}:")
        add("        raise ValueError(f'{length} octets, longer than a PDU may be')")
        add(f"    return {octets.replace('LENGTH', 'length')} + t")
    add(f"return {octets.replace('LENGTH', length)}")
    return _compiled("encode", cls, "p", lines, space)


def decoder(cls: type[Pdu], names: dict[str, Any]) -> Callable[..., Pdu]:
    """The function that decodes bodies of ``cls``; ``names`` has what reads lists and TLVs."""
    fields = table(cls)
    space: dict[str, Any] = {"new": cls.__new__, "cls": cls, **names}
    lines = ["p = new(cls)", "p.sequence = sequence", "p.status = status"]
    add = lines.append
    for number, (run, last) in enumerate(_segments(fields)):
        pattern, targets, ints = _pattern(run, counted=last is not None)
        if pattern:
            space[f"match{number}"] = re.compile(pattern, re.DOTALL).match
            add(f"m = match{number}(data, i, end)")
            add(f"{', '.join(targets)}, = m.groups()")
            lines += ints
            add("i = m.end()")
        if last is None:
            continue
        name, wire = last
        if isinstance(wire, Octets):
            add(f"if n > {wire.limit}:")
            add("    raise ValueError")
            add("e = i + n")
            add("if e > end:")
            add("    raise ValueError")
            add(f"p.{name} = data[i:e]")
            add("i = e")
        elif isinstance(wire, Many):
            add(f"if not {wire.least} <= n <= {wire.most}:")
            add("    raise ValueError")
            add(f"p.{name}, i = read_{wire.kind}(data, i, end, n)")
    if any(isinstance(wire, Tlvs) for _, wire in fields):
        read = "read_tlvs_leniently" if cls.COMMAND & RESPONSE else "read_tlvs"
        add(f"p.tlvs = {read}(data, i, end) if i < end and tlvs else []")
    add("return p")
    return _compiled("decode", cls, "data, i, end, status, sequence, tlvs", lines, space)


def _pattern(run: list[Field], counted: bool) -> tuple[bytes, list[str], list[str]]:
    """Pattern of a segment, what its groups are assigned to, and the lines for its integers.

    Neighbouring integers share a group. The quantifiers are possessive: a string can end in one way
    only.
    """
    pattern = b""
    targets: list[str] = []
    ints: list[str] = []
    size = 0  # of the open group of integers

    def close() -> None:
        nonlocal pattern, size
        if size:
            pattern += b"(" + b"." * size + b")"
            targets.append(f"g{len(targets)}")
            size = 0

    for name, wire in run:
        if isinstance(wire, Int):
            group = f"g{len(targets)}"
            if wire.size == 1:
                ints.append(f"p.{name} = {group}[{size}]")
            else:
                octets = f"{group}[{size}:{size + wire.size}]"
                ints.append(f"p.{name} = int.from_bytes({octets}, 'big')")
            size += wire.size
        elif isinstance(wire, COctets):
            close()
            pattern += rb"([^\0]{0,%d}+)\0" % (wire.limit - 1)
            targets.append(f"p.{name}")
    if counted:
        ints.append(f"n = g{len(targets)}[{size}]")
        size += 1
    close()
    return pattern, targets, ints


def _compiled(
    verb: str, cls: type[Pdu], parameters: str, lines: list[str], space: dict[str, Any]
) -> Callable[..., Any]:
    name = f"{verb}_{cls.__name__}"
    source = "\n    ".join([f"def {name}({parameters}):", *lines]) + "\n"
    # The source has nothing in it but names and numbers of the table in pdu.
    exec(compile(source, f"<smsgw.smpp.straight {name}>", "exec"), space)  # noqa: S102
    function: Callable[..., Any] = space[name]
    return function

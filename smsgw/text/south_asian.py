"""Shift tables of the languages of South Asia (3GPP TS 23.038 annexes A.2.4 to A.3.13)."""

BENGALI, GUJARATI, HINDI, KANNADA, MALAYALAM = 4, 5, 6, 7, 8
ORIYA, PUNJABI, TAMIL, TELUGU, URDU = 9, 10, 11, 12, 13

# What all locking tables have in the same places; U+FFFE is ESC.
_SHARED = {0x0A: "\n", 0x0D: "\r", 0x1B: "\ufffe", 0x28: ")", 0x29: "("} | {
    ord(same): same for same in " !,.0123456789:;?abcdefghijklmnopqrstuvwxyz"
}

# Where the language's block of Unicode begins, and what is in the other 80 places of its table:
# the last two digits of the code point, ".." for nothing.
_LETTERS = {
    BENGALI: (
        0x0980,
        "01 02 03 05 06 07 08 09 0A 0B 0C .. .. 0F 10 .. .. 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 .. 32 .. .. .. 36 37 "
        "38 39 3C 3D 3E 3F 40 41 42 43 44 .. .. 47 48 .. .. 4B 4C 4D 4E 57 5C 5D 70 71",
    ),
    GUJARATI: (
        0x0A80,
        "01 02 03 05 06 07 08 09 0A 0B 0C 0D .. 0F 10 11 .. 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 .. 32 33 .. 35 36 37 "
        "38 39 3C 3D 3E 3F 40 41 42 43 44 45 .. 47 48 49 .. 4B 4C 4D 50 60 61 62 63 71",
    ),
    HINDI: (
        0x0900,
        "01 02 03 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10 11 12 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 29 2A 2B 2C 2D 2E 2F 30 31 32 33 34 35 36 37 "
        "38 39 3C 3D 3E 3F 40 41 42 43 44 45 46 47 48 49 4A 4B 4C 4D 50 72 7B 7C 7E 7F",
    ),
    KANNADA: (
        0x0C80,
        ".. 02 03 05 06 07 08 09 0A 0B 0C .. 0E 0F 10 .. 12 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 31 32 33 .. 35 36 37 "
        "38 39 3C 3D 3E 3F 40 41 42 43 44 .. 46 47 48 .. 4A 4B 4C 4D 55 56 60 61 62 63",
    ),
    MALAYALAM: (
        0x0D00,
        ".. 02 03 05 06 07 08 09 0A 0B 0C .. 0E 0F 10 .. 12 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 31 32 33 34 35 36 37 "
        "38 39 .. 3D 3E 3F 40 41 42 43 44 .. 46 47 48 .. 4A 4B 4C 4D 57 60 61 62 63 79",
    ),
    ORIYA: (
        0x0B00,
        "01 02 03 05 06 07 08 09 0A 0B 0C .. .. 0F 10 .. .. 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 .. 32 33 .. 35 36 37 "
        "38 39 3C 3D 3E 3F 40 41 42 43 44 .. .. 47 48 .. .. 4B 4C 4D 56 57 60 61 62 63",
    ),
    PUNJABI: (
        0x0A00,
        "01 02 03 05 06 07 08 09 0A .. .. .. .. 0F 10 .. .. 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 .. 32 33 .. 35 36 .. "
        "38 39 3C .. 3E 3F 40 41 42 .. .. .. .. 47 48 .. .. 4B 4C 4D 51 70 71 72 73 74",
    ),
    TAMIL: (
        0x0B80,
        ".. 02 03 05 06 07 08 09 0A .. .. .. 0E 0F 10 .. 12 13 14 15 .. .. .. 19 1A .. 1C "
        ".. 1E 1F .. .. .. 23 24 .. .. .. 28 29 2A .. .. .. 2E 2F 30 31 32 33 34 35 36 37 "
        "38 39 .. .. 3E 3F 40 41 42 .. .. .. 46 47 48 .. 4A 4B 4C 4D 50 57 70 71 72 79",
    ),
    TELUGU: (
        0x0C00,
        "01 02 03 05 06 07 08 09 0A 0B 0C .. 0E 0F 10 .. 12 13 14 15 16 17 18 19 1A 1B 1C "
        "1D 1E 1F 20 21 22 23 24 25 26 27 28 .. 2A 2B 2C 2D 2E 2F 30 31 32 33 .. 35 36 37 "
        "38 39 .. 3D 3E 3F 40 41 42 43 44 .. 46 47 48 .. 4A 4B 4C 4D 55 56 60 61 62 63",
    ),
    URDU: (
        0x0600,
        "27 22 28 7B 80 7E A6 2A C2 7F 79 7D 7A 7C 2B 2C 81 84 83 85 86 87 2D 2E 2F 8C 88 "
        "89 8A 8F 8D 30 31 91 93 99 32 96 98 9A 33 34 35 36 37 38 39 41 42 A9 AA AB AF B3 "
        "B1 44 45 46 BA BB BC 48 C4 D5 C1 BE 21 CC D0 D2 4D 50 4F 57 54 55 51 53 56 70",
    ),
}

# After ESC: what all single shift tables have, from code 0 on, and from where each begins its own.
_SIGNS = dict(enumerate("@£$¥¿\"¤%&'\f*+\r-/<=>¡^¡_#*"))
_SIGNS.update({0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|"})
_SIGNS.update({code: chr(code) for code in range(0x41, 0x5B)} | {0x65: "€"})
_DANDAS = (0x19, (0x0964, 0x0965))


def _runs(*runs: tuple[int, tuple[int, ...] | range]) -> dict[int, str]:
    """``_SIGNS`` and, from each code on, these code points."""
    table = dict(_SIGNS)
    for start, points in runs:
        table.update((start + place, chr(point)) for place, point in enumerate(points))
    return table


SINGLE = {
    BENGALI: _runs(
        (0x19, (0x09E6, 0x09E7)),
        (0x1C, range(0x09E8, 0x09F0)),
        (0x24, (0x09DF, 0x09E0, 0x09E1, 0x09E2)),
        (0x2A, (0x09E3, 0x09F2, 0x09F3, 0x09F4, 0x09F5)),
        (0x30, range(0x09F6, 0x09FB)),
    ),
    GUJARATI: _runs(_DANDAS, (0x1C, range(0x0AE6, 0x0AF0))),
    HINDI: _runs(
        _DANDAS,
        (0x1C, range(0x0966, 0x0970)),
        (0x26, (0x0951, 0x0952)),
        (0x2A, (0x0953, 0x0954, 0x0958, 0x0959, 0x095A)),
        (0x30, range(0x095B, 0x0964)),
        (0x39, (0x0970, 0x0971)),
    ),
    KANNADA: _runs(
        _DANDAS, (0x1C, range(0x0CE6, 0x0CF0)), (0x26, (0x0CDE, 0x0CF1)), (0x2A, (0x0CF2,))
    ),
    MALAYALAM: _runs(
        _DANDAS,
        (0x1C, range(0x0D66, 0x0D72)),
        (0x2A, (0x0D72, 0x0D73, 0x0D74, 0x0D75, 0x0D7A)),
        (0x30, range(0x0D7B, 0x0D80)),
    ),
    ORIYA: _runs(
        _DANDAS,
        (0x1C, range(0x0B66, 0x0B70)),
        (0x26, (0x0B5C, 0x0B5D)),
        (0x2A, (0x0B5F, 0x0B70, 0x0B71)),
    ),
    PUNJABI: _runs(
        _DANDAS,
        (0x1C, range(0x0A66, 0x0A70)),
        (0x26, (0x0A59, 0x0A5A)),
        (0x2A, (0x0A5B, 0x0A5C, 0x0A5E, 0x0A75)),
    ),
    TAMIL: _runs(
        _DANDAS,
        (0x1C, range(0x0BE6, 0x0BF0)),
        (0x26, (0x0BF3, 0x0BF4)),
        (0x2A, (0x0BF5, 0x0BF6, 0x0BF7, 0x0BF8, 0x0BFA)),
    ),
    TELUGU: _runs(
        (0x1C, range(0x0C66, 0x0C70)),
        (0x26, (0x0C58, 0x0C59)),
        (0x2A, range(0x0C78, 0x0C7D)),
        (0x30, (0x0C7D, 0x0C7E, 0x0C7F)),
    ),
    URDU: _runs(
        (0x19, (0x0600, 0x0601)),
        (0x1C, range(0x06F0, 0x06FA)),
        (0x26, (0x060C, 0x060D)),
        (0x2A, range(0x060E, 0x0613)),
        (0x30, (0x0613, 0x0614, 0x061B, 0x061F, 0x0640, 0x0652, 0x0658, 0x066B, 0x066C)),
        (0x39, (0x0672, 0x0673, 0x06CD)),
        (0x3F, (0x06D4,)),
    ),
}


def _locking(language: int) -> str:
    """128 characters; a place without one shows a space."""
    block, letters = _LETTERS[language]
    own = iter(letters.split())
    table = []
    for septet in range(0x80):
        character = _SHARED.get(septet)
        if character is None:
            digits = next(own)
            character = " " if digits == ".." else chr(block + int(digits, 16))
        table.append(character)
    return "".join(table)


LOCKING = {language: _locking(language) for language in _LETTERS}

"""Text on its way to a spreadsheet."""

# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@")


def cell(text: str) -> str:
    """What somebody else wrote, as the cell of a CSV file: an apostrophe goes before what would be
    a formula (``spec/ams-websmpp.md`` W-D32)."""
    return f"'{text}" if text.startswith(_FORMULA) else text

"""A coverage list as a file: XLS, PDF or CSV (``spec/ams-websmpp.md`` F-3, W-D32)."""

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from io import BytesIO, StringIO

import xlwt
from attrs import frozen
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, TableStyle

from smsgw.rules.price import Coverage
from smsgw.text import transliterate
from smsgw.text.sheets import cell

COLUMNS = ("Country", "Operator", "MCC", "MNC", "Cost", "Currency", "Remarks")
_SERIAL = "S.No"
# Millimetres of each column on the page, the serial number first.
_WIDTHS = (14, 50, 60, 16, 16, 26, 22, 63)
_NOT_IN_A_SHEET_NAME = re.compile(r"[\[\]:*?/\\']")
_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")
_SHEET_NAME = 31  # characters (BIFF8)

Lines = Sequence[Coverage]


def _cells(line: Coverage) -> list[str]:
    """A line's cells; the MNC of a country's other networks is a blank (F-3)."""
    return [line.country, line.operator, line.mcc, line.mnc or " ", *line[4:]]


def _csv(lines: Lines, user: str) -> bytes:
    text = StringIO()
    writer = csv.writer(text)  # lines end with CR LF, and quotes are as in RFC 4180
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(cell(one) for one in _cells(line))
    return text.getvalue().encode("utf-8")


def _xls(lines: Lines, user: str) -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    name = _NOT_IN_A_SHEET_NAME.sub("_", user)[: _SHEET_NAME - len("(0)")] + "(0)"
    sheet = book.add_sheet(name)
    head = xlwt.easyxf("font: bold on")
    for column, title in enumerate(COLUMNS):
        sheet.write(0, column, title, head)
        sheet.col(column).width = 256 * (24 if column in (0, 1, 6) else 10)
    for row, line in enumerate(lines, 1):
        for column, content in enumerate(_cells(line)):
            # Codes are text: as numbers they would lose their zeros.
            sheet.write(row, column, content)
    sheet.set_panes_frozen(True)
    sheet.set_horz_split_pos(1)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


@cache
def _wide_font() -> TTFont | None:
    """DejaVu Sans, where this machine has it: readers of PDF have only Latin letters of Western
    Europe themselves."""
    try:
        font = TTFont("DejaVuSans", "DejaVuSans.ttf")
    except TTFError:
        return None
    registerFont(font)
    return font


def _drawn(text: str) -> tuple[str, str]:
    """A text as it can be drawn, and the font: what no font has is written in letters that look
    alike, or "?". So are scripts that run from right to left, whose letters need joining."""
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        font = _wide_font()
        if font is not None and all(_is_drawn_alone(font, one) for one in text):
            return text, "DejaVuSans"
        return "".join(map(_look_alike, text)), "Helvetica"
    return text, "Helvetica"


def _is_drawn_alone(font: TTFont, character: str) -> bool:
    leftward = unicodedata.bidirectional(character) in ("R", "AL")
    return ord(character) in font.face.charToGlyph and not leftward


def _look_alike(character: str) -> str:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        found = transliterate.to_gsm(character)
        return found if found.isascii() else "?"
    return character


def _pdf(lines: Lines, user: str) -> bytes:
    plain = getSampleStyleSheet()["BodyText"]
    plain.fontSize, plain.leading = 9, 11

    def paragraph(text: str) -> Paragraph:
        text, font = _drawn(text)
        style = ParagraphStyle(font, plain, fontName=font)
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return Paragraph(escaped, style)

    rows: list[list[str | Paragraph]] = [[_SERIAL, *COLUMNS]]
    for number, line in enumerate(lines, 1):
        country, operator, *codes, remarks = _cells(line)
        rows.append(
            [str(number), paragraph(country), paragraph(operator), *codes, paragraph(remarks)]
        )
    table = LongTable(rows, colWidths=[width * mm for width in _WIDTHS], repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
                ("FONT", (0, 1), (-1, -1), "Helvetica", 9),
                ("BACKGROUND", (0, 0), (-1, 0), colors.lightgrey),
                ("GRID", (0, 0), (-1, -1), 0.25, colors.grey),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("ALIGN", (5, 1), (5, -1), "RIGHT"),
            ]
        )
    )
    file = BytesIO()
    margin = 15 * mm
    document = SimpleDocTemplate(
        file,
        pagesize=landscape(A4),
        leftMargin=margin,
        rightMargin=margin,
        topMargin=margin,
        bottomMargin=margin,
        title=f"Coverage of {user}",
        author="smsgw",
    )
    document.build([table])
    return file.getvalue()


@frozen
class Form:
    """One kind of file; ``write`` makes it of the lines and the user's name."""

    suffix: str
    content_type: str
    write: Callable[[Lines, str], bytes]


# By the parameter ``format`` (W-R29).
FORMS = {
    "1": Form("xls", "application/vnd.ms-excel", _xls),
    "2": Form("pdf", "application/pdf", _pdf),
    "3": Form("csv", "text/csv; charset=utf-8", _csv),
}


def file_name(user: str) -> str:
    """The name of the file without its suffix, in characters that every system takes."""
    return f"{_NOT_IN_A_FILE_NAME.sub('_', user)}_coverage"

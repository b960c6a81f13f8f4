"""What a coverage list looks like as a page (``spec/ams-websmpp.md`` W-D32)."""

import subprocess

import pytest

from smsgw.http import coverage
from smsgw.rules.price import Coverage
from tests.tools import has

NAMES = ["Türkiye", "Łódź", "Россия", "لبنان", "中国", "Ελλάδα"]


def page() -> list[str]:
    """The lines that pdftotext finds on it, the names of operators only."""
    lines = [Coverage("", name, "999", "01", "0.0450", "EUR", "") for name in NAMES]
    done = subprocess.run(
        ["pdftotext", "-layout", "-", "-"],
        input=coverage.FORMS["2"].write(lines, "acme"),
        capture_output=True,
        check=True,
    )
    assert not done.stderr
    rows = [line.split() for line in done.stdout.decode().splitlines() if line.strip()]
    return [row[1] for row in rows[1:]]


@pytest.mark.skipif(not has("pdftotext"), reason="needs poppler-utils")
def test_w_d32_names_outside_western_europe_without_a_font(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written in letters that look alike, or with ?; no black squares."""
    monkeypatch.setattr(coverage, "_wide_font", lambda: None)
    assert page() == ["Türkiye", "Lódz", "??????", "?????", "??", "E??A?A"]


@pytest.mark.skipif(not has("pdftotext"), reason="needs poppler-utils")
@pytest.mark.skipif(coverage._wide_font() is None, reason="needs fonts-dejavu-core")
def test_w_d32_names_outside_western_europe() -> None:
    """With DejaVu Sans they are as they are, but for what it does not have or cannot join."""
    assert page() == ["Türkiye", "Łódź", "Россия", "?????", "??", "Ελλάδα"]

"""Ordinary mails as messages: text, quotations, HTML, attachments (E-D31, ruling 24)."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.mm4.fields import TooMuch
from smsgw.smtp import html
from smsgw.smtp.plain import ContentFault, PlainMail, read, without_quotes


def mail(body: str, kind: str = "text/plain; charset=utf-8", *fields: str) -> PlainMail:
    """A mail of one part, read."""
    header = "".join(f"{one}\r\n" for one in (*fields, f"Content-Type: {kind}"))
    return read(f"{header}\r\n{body}".replace("\r\n", "\n").replace("\n", "\r\n").encode())


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Hello\n", "Hello"),
        ("\n\nHello  \nyou\n\n", "Hello\nyou"),
        ("Hello\n-- \nAlice\n", "Hello"),
        ("a -- b\n--\nc\n", "a -- b\n--\nc"),
        ("-- \nAlice", ""),
    ],
)
def test_text_ends_at_the_signature_e_d31(body: str, text: str) -> None:
    """E-D31: the line of two hyphens and a blank, and nothing else, begins it."""
    assert mail(body).text == text


def test_a_reply_is_looked_for_in_a_bounded_text() -> None:
    """I5: what is quoted on and on costs nobody else time."""
    assert PlainMail(text="Yes\n" + "> x\n" * 1_000_000).reply == "Yes"
    assert PlainMail(text="> x\n" * 1_000_000 + "Yes").reply == ""


def test_charsets() -> None:
    """The text is what its charset says."""
    header = b"Content-Type: text/plain; charset=iso-8859-15\r\n\r\n"
    assert read(header + b"5 \xa4\r\n").text == "5 €"


def test_flowed_lines_are_joined() -> None:
    """RFC 3676: a blank at the end of a line is no end of a paragraph; quotations keep theirs."""
    body = "One long \nparagraph.\nTwo\n> quoted \n> text\n-- \nAlice"
    assert mail(body, "text/plain; format=flowed").text == (
        "One long paragraph.\nTwo\n> quoted text"
    )
    assert mail("ab \ncd", "text/plain; format=flowed; delsp=yes").text == "abcd"
    assert mail(" From here\n x \ny", "text/plain; format=flowed").text == "From here\nx y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes\n\nOn 14 March 2026, +447700900123 wrote:\n> Are you there?\n> ok", "Yes"),
        ("Ja\n\nAm 14.03.2026 um 10:15 schrieb\n447700900123 <x@y>:\n\n> Da?", "Ja"),
        ("On 1 May, a@b wrote:\n> Where?\n\nHere.\n\n> And when?\nNow", "Here.\n\nNow"),
        ("Yes\n\n-----Original Message-----\nFrom: x\nSent: y\n\nAre you there?", "Yes"),
        ("Oui\n________________________________\nDe : x\nOld", "Oui"),
        ("Yes\nOn 1 May, a@b wrote:\n> Well?", "Yes"),
        ("Room 5\nOn 1 May, a@b wrote:\n> Where?", "Room 5"),
        ("No quotation: here\nnor 2", "No quotation: here\nnor 2"),
        ("> only\n> quoted", ""),
    ],
)
def test_reply_without_what_it_answers(text: str, said: str) -> None:
    """Whether it is above, below, or between what is quoted."""
    assert without_quotes(text) == said


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hello <b>you</b> &amp; me</p>", "Hello you & me"),
        ("<head><title>t</title></head><style>p{}</style>a<!-- x -->b", "ab"),
        ("one<br>two<div>three</div>", "one\ntwo\nthree"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
        ("1 &lt; 2, 2 < 3 &euro; &#8364;", "1 < 2, 2 < 3 € €"),
        ("<script>alert(1)", ""),
        ("a<blockquote>b<br>c</blockquote>d", "a\n> b\n> c\nd"),
        ('Hi<div class="gmail_quote">On 1 May:<br>old</div>', f"Hi\n{html.QUOTED}\nOn 1 May:\nold"),
    ],
)
def test_html_as_its_text_ruling_24(markup: str, text: str) -> None:
    """Ruling 24: tags, styles, scripts and comments are no text."""
    assert html.text_of(markup) == text


@given(st.text(st.sampled_from("<>/!-?&;#ab =\"'\n"), max_size=300))
def test_any_markup_has_a_text(markup: str) -> None:
    """Nothing makes it fail, and what has no tags comes out as it is but for blanks."""
    text = html.text_of(markup)
    if "<" not in markup and "&" not in markup:
        assert text.split() == markup.split()


@given(st.binary(max_size=2_000))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    """Whatever comes is a mail, or a fault that says why it is none."""
    for head in (b"", b'Content-Type: multipart/mixed; boundary="a"\r\n\r\n--a\r\n'):
        try:
            found = read(head + octets)
        except (ContentFault, TooMuch):
            continue
        assert without_quotes(found.text) == found.reply


def test_html_reply() -> None:
    """What an HTML mail answers is left out as of a text."""
    body = "<div>Yes</div><div class='gmail_quote'>On 1 May<blockquote>Well?</blockquote></div>"
    found = mail(body, "text/html")
    assert found.reply == "Yes"


def attached() -> EmailMessage:
    """Text with an HTML alternative, a picture, and a text file."""
    message = EmailMessage()
    message["From"] = "Alice <alice@example.org>"
    message["Subject"] = "Grüße"
    message.set_content("Look")
    message.add_alternative("<p>Look</p>", subtype="html")
    message.get_payload()[1].add_related(b"GIF89a", "image", "gif", cid="<pic>")
    message.add_attachment("notes", filename="notes.txt")
    return message


def test_alternatives_and_attachments() -> None:
    """The text alternative is the text; pictures of the HTML one and files are attachments."""
    found = read(attached().as_bytes(policy=SMTP))
    assert (found.text, found.subject, found.sender) == ("Look", "Grüße", "alice@example.org")
    kinds = [(one.type, one.name, one.content.strip()) for one in found.attachments]
    assert kinds == [("image/gif", "", b"GIF89a"), ("text/plain", "notes.txt", b"notes")]


def test_signed_mail_is_its_content() -> None:
    """A signature is no part of a message."""
    message = EmailMessage()
    message.set_content("Hello")
    message.add_attachment(b"x", maintype="application", subtype="pgp-signature")
    assert read(message.as_bytes(policy=SMTP)).attachments == []


@pytest.mark.parametrize(
    ("field", "automatic", "bulk"),
    [
        ("Auto-Submitted: auto-replied", True, False),
        ("Auto-Submitted: auto-generated; x=y", True, False),
        ("Auto-Submitted: no", False, False),
        ("Precedence: bulk", False, True),
        ("List-Id: <a.example.org>", False, True),
    ],
)
def test_machines_are_known_ruling_24(field: str, automatic: bool, bulk: bool) -> None:
    """Ruling 24, RFC 3834."""
    found = mail("Hello", "text/plain", field)
    assert (found.automatic, found.bulk) == (automatic, bulk)


def test_a_report_is_automatic() -> None:
    """A bounce by a server that knows no Auto-Submitted."""
    body = "--a\n\nYour mail failed\n--a--\n"
    assert mail(body, "multipart/report; boundary=a; report-type=delivery-status").automatic


def test_what_it_answers() -> None:
    """In-Reply-To first, then References from the nearest."""
    fields = "In-Reply-To: <c@x>", "References: <a@x> <b@x> <c@x>", "Message-ID: <d@x>"
    found = mail("Hello", "text/plain", *fields)
    assert found.answers == ["c@x", "c@x", "b@x", "a@x"]
    assert found.message_id == "d@x"


def nested(levels: int) -> bytes:
    """Multiparts in each other."""
    head = body = ""
    for n in range(levels):
        head += f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n'
        body = f"\r\n--b{n}--\r\n" + body
    return f"{head}\r\nHello{body}".encode()


def test_bounded_levels_and_parts() -> None:
    """Mail programs make four levels and a few parts; what has many more is refused."""
    assert read(nested(8)).text == "Hello"
    with pytest.raises(ContentFault, match="too deep"):
        read(nested(9))
    with pytest.raises(ContentFault, match="more than 100 parts"):
        mail("--a\n\nx\n" * 101, "multipart/mixed; boundary=a")

"""Multimedia messages in the store: they come back whole, and cost other messages nothing."""

from sqlalchemy import select

from smsgw.message import Media, Message, Multimedia
from smsgw.store import records, schema
from smsgw.store.database import close_store, open_store
from tests.mm4 import examples

MULTIMEDIA = Multimedia(
    media=[
        Media("application/smil", "smil.xml", "smil", "00" * 32, 300, "utf-8"),
        Media("image/gif", "photo.gif", "photo", "ff" * 32, 42),
    ],
    start="smil",
    subject="Grüße",
    message_class="Personal",
    priority="High",
    visibility="Hide",
    read_reply=True,
    delivery_report=True,
    relay_report=True,
    forward_counter=3,
    message_id="mm-000017@gateway.example.com",
    transaction_id="7f3a0c21",
    originator_system=examples.OURS,
    previously_sent=["1, a@b"],
    previously_sent_at=["1, Sat, 14 Mar 2026 09:00:00 +0000"],
    to=[examples.BOB],
    cc=[examples.ALICE],
    extra={"X-Mms-VASP-ID": "Traffic"},
)


def stored(tmp_path, message):
    """The message as it is read back."""
    engine = open_store(f"sqlite:///{tmp_path}/store.db")
    try:
        with engine.begin() as connection:
            values = dict(zip(records.MESSAGE_COLUMNS, records.row(message, None), strict=True))
            connection.execute(schema.message.insert().values(values))
            content = connection.execute(select(schema.message.c.content)).scalar_one()
            [read] = records.read(connection, [message.id])
            return read, content
    finally:
        close_store(engine)


def test_a_multimedia_message_comes_back_as_it_was(tmp_path):
    """Every field of it, with its parts in their order."""
    message = Message(
        "447700900456", "447700900123", parts=[b""], kind="mms", multimedia=MULTIMEDIA, id=17
    )
    read, _ = stored(tmp_path, message)
    assert read == message


def test_an_sms_knows_nothing_of_it(tmp_path):
    """Not an octet more is stored of it."""
    message = Message("447700900456", "447700900123", parts=[b"Hello"], id=17)
    read, content = stored(tmp_path, message)
    assert read.multimedia is None
    assert b"multimedia" not in content


def test_an_mms_without_content_yet_comes_back(tmp_path):
    """A kind alone is no multimedia."""
    message = Message("447700900456", "447700900123", parts=[b""], kind="mms", id=17)
    assert stored(tmp_path, message)[0] == message

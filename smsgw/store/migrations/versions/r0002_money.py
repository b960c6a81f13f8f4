"""Balances and the ledger; what was provisioned as prepaid before gets its opening balance."""

import json
import time
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EPOCH_MS = 1_577_836_800_000  # of ids, see identities.py
_OPENING = 0


def upgrade() -> None:
    """Makes both tables and opens the balances of accounts that are there."""
    balance = op.create_table(
        "balance",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("credit_limit", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account"),
        sqlite_with_rowid=False,
    )
    ledger = op.create_table(
        "ledger",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ledger_account", "ledger", ["account", "id"], unique=False)
    op.create_index(
        "ledger_opening",
        "ledger",
        ["account"],
        unique=True,
        sqlite_where=sa.text("reason = 0"),
        postgresql_where=sa.text("reason = 0"),
    )
    connection = op.get_bind()
    now = int(time.time() * 1000)
    accounts = connection.execute(
        sa.text("SELECT name, document FROM provision WHERE kind = 'account' ORDER BY name")
    ).all()
    for number, (name, document) in enumerate(accounts):
        opening = json.loads(document).get("balance")
        amount = int(Decimal(opening or "0") * 10_000)
        limit = None if opening is None else 0
        connection.execute(
            sa.insert(balance).values(account=name, amount=amount, credit_limit=limit)
        )
        if opening is not None:
            connection.execute(
                sa.insert(ledger).values(
                    # From here on ids rise by themselves, so the counter may overflow into the ms.
                    id=((now - _EPOCH_MS) << 21) + number,
                    account=name,
                    at=now,
                    amount=amount,
                    reason=_OPENING,
                    message=None,
                    text="",
                )
            )

"""Where entries of queues on a broker are, and what is to be published to it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the columns and the table."""
    for name in ("place", "taken"):
        column = sa.Column(name, sa.SmallInteger(), nullable=False, server_default=sa.text("0"))
        op.add_column("queue", column)
    op.create_index(
        "queue_later",
        "queue",
        ["due"],
        unique=False,
        sqlite_where=sa.text("place = 1"),
        postgresql_where=sa.text("place = 1"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node", sa.SmallInteger(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )

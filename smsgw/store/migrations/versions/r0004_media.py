"""Which messages refer to which media."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table, empty."""
    op.create_table(
        "media",
        sa.Column("message", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("media_digest", "media", ["digest"], unique=False)
    op.create_index("media_until", "media", ["until"], unique=False)

"""What became of transactions whose connection was lost, and tables for messages of no day."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables, empty."""
    op.create_table(
        "commit_mark",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        # See partitions.py; r0001 makes these two tables partitioned.
        for table in ("message", "part"):
            op.execute(f"CREATE TABLE {table}_other PARTITION OF {table} DEFAULT")

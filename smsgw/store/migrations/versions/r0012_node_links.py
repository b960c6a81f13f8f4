"""The links to carriers of each node, one by one."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; a node fills it with its next sign of life."""
    column = sa.Column("links", sa.String(), nullable=False, server_default=sa.text("'[]'"))
    op.add_column("node", column)

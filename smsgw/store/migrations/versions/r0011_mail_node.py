"""Which node mails a response or report by MM4."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; what waits belongs to node 0, or to the first that starts."""
    node = sa.Column("node", sa.SmallInteger(), server_default="0", nullable=False)
    op.add_column("mm4_mail", node)

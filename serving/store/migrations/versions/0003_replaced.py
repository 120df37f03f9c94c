"""Which answer was asked for in the place of another."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("answers", sa.Column("replaced_by", sa.Text(), nullable=True))

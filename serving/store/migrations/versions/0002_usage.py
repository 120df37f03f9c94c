"""What an answer has used as a whole, also where it was cut short."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("answers", sa.Column("usage", sa.JSON(), nullable=False, server_default="{}"))

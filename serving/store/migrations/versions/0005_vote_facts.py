"""What the report looks at votes by, kept with each vote (those cast before have none), and indexes to count by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for name in ("left_chars", "right_chars"):
        op.add_column("votes", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in ("lang", "topic", "product", "in_docs", "favoured"):
        op.add_column("votes", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_choices_counted", "choices", ["arm", "refused", "degraded", "finish_reason", "answer_id"])
    op.create_index(op.f("ix_answers_blind"), "answers", ["blind"])

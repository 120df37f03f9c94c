"""Which answer was asked for in the place of another; and what the search of conversations looks into."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("answers", sa.Column("replaced_by", sa.Text(), nullable=True))
    said = op.create_table(
        "said",
        sa.Column("answer_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answered", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_said_answer_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_said_conversation_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("answer_id", name=op.f("pk_said")),
    )
    op.create_index(op.f("ix_said_conversation_id"), "said", ["conversation_id"], unique=False)
    _fill(op.get_bind(), said)


def _fill(db: sa.Connection, said: sa.Table) -> None:
    """What was said before, a thousand answers at a time."""
    answers = sa.table("answers", *map(sa.column, ("id", "conversation_id", "question")))
    choices = sa.table("choices", *map(sa.column, ("answer_id", "index", "text")))
    last = ""
    while found := db.execute(
        sa.select(answers)
        .where(answers.c.conversation_id.is_not(None), answers.c.id > last)
        .order_by(answers.c.id)
        .limit(1000)
    ).all():
        last = found[-1].id
        ids = [row.id for row in found]
        texts: dict[str, list[str]] = {id: [] for id in ids}
        for choice in db.execute(
            sa.select(choices).where(choices.c.answer_id.in_(ids)).order_by(choices.c.answer_id, choices.c.index)
        ):
            texts[choice.answer_id].append(choice.text)
        db.execute(
            sa.insert(said),
            [
                {
                    "answer_id": row.id,
                    "conversation_id": row.conversation_id,
                    "question": row.question.lower(),
                    "answered": "\n".join(texts[row.id]).lower(),
                }
                for row in found
            ],
        )

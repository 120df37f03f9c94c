"""The database: made and upgraded by whoever comes first, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from data.errors import ConfigError, StoreError
from evals.report.build import build
from evals.report.inputs import Filters
from serving.report.rows import read
from serving.store import conversations, database
from serving.store.database import HEAD, Store
from serving.store.tables import Answer, Base, Choice, Conversation, Vote
from tests.postgres_server import SECRET

ANSWER = {
    "id": "ans_1",
    "owner": "me",
    "asked_at": 1.0,
    "question": "",
    "lang": "en",
    "history": [],
    "filters": {},
    "model": "rag",
    "route": {},
    "blind": False,
    "error": {},
    "cancelled": False,
    "finished_at": None,
}

IN_CONVERSATION = ANSWER | {"id": "ans_2", "conversation_id": "conv_7", "question": "GRÖßE"}
CHOICE = {"arm": "rag", "reasoning": "", "refused": False, "degraded": "", "finish_reason": "stop", "citations": []}
CHOICE |= {"sources": [], "timings_ms": {}, "usage": {}, "checks": {}}


def a_conversation(number: int) -> Conversation:
    return Conversation(id=f"conv_{number}", owner="me", title="Ports", created_at=1.5, updated_at=1.5)


def test_the_migrations_give_the_tables_of_the_code(store_url: str) -> None:
    store = Store.open(store_url)
    with store.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    store.close()
    assert differences == []


def test_a_database_of_the_first_version_is_upgraded_with_what_is_in_it(store_url: str) -> None:
    before = Store(database._engine(store_url))
    with before.writing() as db:
        config = Config(attributes={"connection": db.connection()})
        config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
        command.upgrade(config, "0001")
        db.add(a_conversation(7))
        db.flush()
        db.execute(insert(Answer.__table__), [{"conversation_id": None} | ANSWER, IN_CONVERSATION])
        db.execute(insert(Choice), [{"answer_id": "ans_2", "index": 0, "text": "SIEBEN"} | CHOICE])
    before.close()
    after = Store.open(store_url)
    with after.reading() as db:
        assert db.get_one(Answer, "ans_1").usage == {}
        for query in ("größe", "sieben"):
            assert [found.id for found in conversations.listed(db, "me", 5, query)] == ["conv_7"]
    after.close()


def test_votes_of_before_their_facts_were_kept_are_unknown_to_the_report_and_not_nothing(store_url: str) -> None:
    """Twenty votes without facts beside twenty with them: they count as votes, and in nothing else."""
    before = Store(database._engine(store_url))
    with before.writing() as db:
        config = Config(attributes={"connection": db.connection()})
        config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
        command.upgrade(config, "0004")
        vote = {"arms": '["rag", "sft"]', "winner": "0", "blind": False, "comment": "", "created_at": 1.0}
        columns = "answer_id, owner, arms, winner, blind, comment, created_at"
        values = ":answer_id, :owner, :arms, :winner, :blind, :comment, :created_at"
        rows = [vote | {"answer_id": f"old{n}", "owner": f"user{n}"} for n in range(20)]
        db.execute(text(f"INSERT INTO votes ({columns}) VALUES ({values})"), rows)
    before.close()
    after = Store.open(store_url)
    with after.writing() as db:
        db.add_all(a_vote(n) for n in range(20))
    with after.reading() as db:
        (everything, narrowed) = (build(read(db, filters)) for filters in (Filters(), Filters(lang="en")))
    after.close()
    pair = everything.pairs[0]
    assert (pair.counts.votes, pair.counts.wins) == (40, 30)
    assert {name: [(part.value, part.counts.votes) for part in parts] for name, parts in pair.slices.items()} == {
        "in_docs": [("yes", 20)],
        "lang": [("en", 20)],
        "product": [("Widget", 20)],
        "topic": [("Ports", 20)],
    }
    assert pair.equal_length
    assert pair.equal_length.of == everything.router.share.of == 20
    assert narrowed.votes == 20


def a_vote(n: int) -> Vote:
    """With all facts. The length says nothing about who wins."""
    facts = {"lang": "en", "topic": "Ports", "product": "Widget", "in_docs": "yes", "favoured": "rag"}
    cast: dict[str, Any] = {"owner": f"user{n}", "arms": ["rag", "sft"], "winner": str(n % 2), "blind": False}
    sizes = {"left_chars": 100 + n // 2 * 10, "right_chars": 150}
    return Vote(answer_id=f"new{n}", comment="", created_at=2.0, **cast, **sizes, **facts)


def test_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(database.__file__).with_name("migrations")))
    assert scripts.get_current_head() == HEAD


def test_what_was_written_is_there_after_opening_again(store_url: str) -> None:
    first = Store.open(store_url)
    with first.writing() as db:
        db.add(a_conversation(1))
    first.close()
    again = Store.open(store_url)
    with again.reading() as db:
        assert [row.title for row in db.query(Conversation)] == ["Ports"]
    again.close()


def test_a_failed_transaction_leaves_nothing(store_url: str) -> None:
    store = Store.open(store_url)
    with pytest.raises(IntegrityError), store.writing() as db:
        db.add_all([a_conversation(1), a_conversation(2), Answer(**ANSWER | {"conversation_id": "conv_3"})])
    with store.reading() as db:
        assert db.query(Conversation).count() == 0
    store.close()


def test_a_newer_database_is_left_alone(store_url: str) -> None:
    store = Store.open(store_url)
    with store.writing() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreError, match=r"newer DocDuet.*'9999'") as error:
        Store.open(store_url)
    assert SECRET not in str(error.value)


OPEN_AND_WRITE = """
import sys
from serving.store.database import Store
from serving.store.tables import Conversation
store = Store.open(sys.argv[1])
for n in range(20):
    with store.writing() as db:
        db.add(Conversation(id=f"conv_{sys.argv[2]}_{n}", owner="me", title="", created_at=0.0, updated_at=0.0))
store.close()
"""


def test_processes_that_start_together(store_url: str) -> None:
    """Each finds or makes the tables, and all write at once."""
    argv = [sys.executable, "-c", OPEN_AND_WRITE, store_url]
    running = [subprocess.Popen([*argv, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    complaints = [process.communicate(timeout=60)[1] for process in running]
    assert complaints == [""] * 4
    store = Store.open(store_url)
    with store.reading() as db:
        assert db.query(Conversation).count() == 80
    store.close()


def test_sqlite_is_set_up_for_several_processes(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'new' / 'docduet.sqlite'}")
    with store.engine.connect() as connection:
        found = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
        assert found == ["wal", 1]
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == database.BUSY_S * 1000
        assert "answers" in inspect(connection).get_table_names()
    assert (tmp_path / "new" / "docduet.sqlite").stat().st_mode & 0o777 == 0o600
    store.close()


@pytest.mark.parametrize("url", ["docduet.sqlite", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_cannot_serve(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[serving\] database"):
        Store.open(url)


def test_no_database_there_is_said_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be used") as error:
        Store.open(f"postgresql://docduet:{SECRET}@127.0.0.1:1/x")
    assert SECRET not in str(error.value)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store.open(f"sqlite:///{tmp_path}/file/docduet.sqlite")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "docduet.sqlite").write_text("not a database, but long enough to look like something" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{tmp_path}/docduet.sqlite")

"""Judge and people: figures against a table counted by hand, and the whole way from a gateway's votes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError
from docduet import app
from evals.judge.agreement import agreement
from evals.judge.results import PairVerdict
from serving.store.database import Store
from serving.store.tables import Answer, Choice, Vote
from tests.fake_judge import verdict
from tests.fake_teacher import FakeTeacher

ORDERS = {"0": ("0", "0"), "1": ("1", "1"), "tie": ("tie", "tie"), "flip": ("0", "1"), "": ("", "0")}
TABLE = {
    ("0", "0"): 4,
    ("0", "tie"): 1,
    ("0", "1"): 1,
    ("1", "1"): 2,
    ("1", "flip"): 1,
    ("tie", "tie"): 1,
    ("both_bad", "0"): 1,
    ("both_bad", "flip"): 1,
    ("1", ""): 2,
}


def test_agreement_is_what_a_table_counted_by_hand_says() -> None:
    people = [person for (person, _), count in TABLE.items() for _ in range(count)]
    said = [judged for (_, judged), count in TABLE.items() for _ in range(count)]
    verdicts = [PairVerdict(id=str(n), arms=("left", "right"), orders=ORDERS[one]) for n, one in enumerate(said)]
    found = agreement("wise", people, verdicts)
    # people \\ judge     0  1  tie
    #   0                 4  1  1     6
    #   1                 0  2  1     3
    #   tie               1  0  2     3
    #                     5  3  4    12
    assert (found.all_votes.value, found.all_votes.of) == (pytest.approx(8 / 12), 12)
    assert (found.decided.value, found.decided.of) == (pytest.approx(6 / 7), 7)
    chance = (6 * 5 + 3 * 3 + 3 * 4) / 144
    assert found.kappa == pytest.approx((8 / 12 - chance) / (1 - chance))
    assert found.unread == 2
    assert found.all_votes.low == pytest.approx(0.3906, abs=1e-3)  # Wilson for 8 of 12, by hand
    assert found.all_votes.high == pytest.approx(0.8619, abs=1e-3)


def test_where_everything_is_alike_there_is_no_kappa() -> None:
    verdicts = [PairVerdict(id="q", arms=("left", "right"), orders=("0", "0"))]
    assert agreement("wise", ["0"], verdicts).kappa is None
    assert agreement("wise", [], []).kappa is None


def put_vote(store: Store, number: int, question: str, texts: tuple[str, str], winner: str) -> None:
    id = f"answer_{number}"
    rest = {"owner": "me", "lang": "en", "history": [], "filters": {}, "route": {}, "error": {}}
    answer = Answer(
        id=id,
        conversation_id=None,
        asked_at=1.0,
        question=question,
        model="compare",
        blind=True,
        cancelled=False,
        finished_at=2.0,
        **rest,
    )
    empty = {"reasoning": "", "refused": False, "degraded": "", "finish_reason": "stop"}
    lists = {"citations": [], "sources": [], "timings_ms": {}, "usage": {}, "checks": {}}
    vote = Vote(
        answer_id=id, owner="me", arms=["rag", "sft"], winner=winner, blind=True, comment="", created_at=float(number)
    )
    with store.writing() as db:
        db.add(answer)
        db.flush()
        db.add_all(
            [Choice(answer_id=id, index=n, arm="x", text=text, **empty, **lists) for n, text in enumerate(texts)]
        )
        db.add(vote)


def test_a_judge_votes_on_what_people_voted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    store = Store.open(f"sqlite:///{tmp_path / 'docduet.sqlite'}")
    put_vote(store, 1, "Is it biased?", ("One.", "Two."), "tie")
    put_vote(store, 2, "Is it plain?", ("One.", "Two."), "tie")
    put_vote(store, 3, "Is it so?", ("Yes.", "No."), "0")
    put_vote(store, 4, "Is it garbled?", ("Yes.", "No."), "1")
    store.close()
    with FakeTeacher(writes=verdict) as teacher:
        command = ["eval", "agreement", "--judge-url", teacher.url]
        result = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
        found = json.loads(result.stdout)
        text = CliRunner().invoke(app, command, catch_exceptions=False).stdout
        assert teacher.total == 8
    assert found["all_votes"]["value"] == pytest.approx(2 / 3)  # without facts and reference this judge sees ties
    assert found["decided"]["value"] is None
    assert found["unread"] == 1
    assert found["position_bias"]["first"] == 1
    assert "0.67" in text


def test_without_votes_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="nobody has voted"):
        CliRunner().invoke(app, ["eval", "agreement", "--judge-url", "http://127.0.0.1:9/v1"], catch_exceptions=False)

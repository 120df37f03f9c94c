"""`docduet route` as people call it, and what votes in the database become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from data.feedback import Turn as Earlier
from data.home import Home
from docduet import app
from evals import runs
from serving.router.features import NAMES
from serving.router.labels import read_labels, write_labels
from serving.router.model import read_model
from serving.router.votes import labels_of
from serving.store.database import Store, database_url
from serving.store.tables import Answer, Rating, Vote
from tests.test_serving_router_fit import made_up

PAGES = {
    "port.md": "# Ports\n\nThe gateway listens on port 7860 by default.\n\n## Firewalls\n\nOpen the port `--port`.\n",
    "formats.md": "# Formats\n\nDocDuet reads Markdown and PDF.\n\n## Word files\n\nDOCX files are read too.\n",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path)


def route(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["route", *arguments], catch_exceptions=True)


def said(*arguments: str) -> dict[str, Any]:
    result = route(*arguments, "--json")
    assert result.exit_code == 0, result.output + str(result.exception)
    body: dict[str, Any] = json.loads(result.stdout)
    return body


def test_a_fit_from_a_label_file(home: Home) -> None:
    labels = [label.model_copy(update={"simulated": False}) for label in made_up(250)]
    write_labels(home.root / "labels.jsonl", labels)
    body = said("fit", "--labels", "labels.jsonl", "--chart", "curve.png", "--save-labels", "again.jsonl")
    assert body["written"] == str(home.router)
    assert set(body["cross_validated"]["accuracy"]) == {"router", "always rag", "always sft", "oracle"}
    assert body["labels"] + body["held_out"]["questions"] == 250
    assert not body["simulated"]
    model = read_model(home.router)
    assert (model.labels, model.metrics["router"]) == (
        body["labels"],
        pytest.approx(body["cross_validated"]["accuracy"]["router"], abs=1e-4),
    )
    assert (home.root / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (home.root / "again.jsonl").read_text() == (home.root / "labels.jsonl").read_text()


def test_an_evaluation_run_is_read_as_labels(home: Home) -> None:
    whole: dict[str, Any] = {"question": "Which port?", "lang": "en", "answerable": True}
    results = [
        runs.Result(id="q1", arm="rag", facts_recalled=0.5, history=(Earlier(role="user", content="Hi"),), **whole),
        runs.Result(id="q1", arm="sft", facts_recalled=1.0, degenerate="loop", **whole),
        runs.Result(id="q1", arm="base", facts_recalled=1.0, **whole),  # never chosen
        runs.Result(id="q2", arm="rag", question="What price?", answerable=False, refused=True),
        runs.Result(id="q2", arm="sft", question="What price?", answerable=False),
        runs.Result(id="q3", arm="rag", question="Unknown?", answerable=True),  # no facts: nothing can be told
    ]
    path = runs.write_run(home.evals, "run", runs.EvalRun(object="eval_run", set="s", results=tuple(results)))
    first, second = read_labels(path)
    assert (first.question, first.arms, first.lang) == ("Which port?", {"rag": True, "sft": False}, "en")
    assert first.messages == ({"role": "user", "content": "Hi"},)
    assert (second.question, second.arms) == ("What price?", {"rag": True, "sft": False})
    assert "docduet sync" in str(route("fit", "--labels", str(path)).exception)  # features are measured on the index


def test_made_up_labels_say_so_and_are_not_put_to_use(home: Home) -> None:
    write_labels(home.root / "labels.jsonl", made_up(250))
    result = route("fit", "--labels", "labels.jsonl")
    assert result.exit_code == 0, result.output
    assert "simulated" in result.output
    assert "Not written" in result.output
    assert not home.router.exists()
    assert said("fit", "--labels", "labels.jsonl", "--out", "made-up.json")["written"] == "made-up.json"
    assert read_model(home.root / "made-up.json").simulated


def test_errors_say_what_to_do(home: Home) -> None:
    write_labels(home.root / "few.jsonl", made_up(10))
    for arguments, message in {
        ("fit",): "too few labels to fit on: rag lacks about 80 questions",
        ("fit", "--labels", "few.jsonl"): "too few labels to fit on",
        ("fit", "--labels", "none.jsonl"): "cannot be read",
        ("fit", "--simulate", "50", "--votes"): "leave out --votes",
        ("fit", "--simulate", "50"): "docduet sync",
        ("explain", "How do I change the port?"): "docduet sync",
    }.items():
        result = route(*arguments)
        assert result.exit_code == 1
        assert message in str(result.exception), (arguments, result.exception)


def test_explain_and_simulate_over_an_index(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home.root / "docs"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert CliRunner().invoke(app, ["sync", str(folder)]).exit_code == 0
    body = said("explain", "Which port does the gateway listen on?")
    assert (body["arms"], list(body["scores"])) == (["rag"], ["rag"])
    assert body["features"]["verdict"] == pytest.approx(body["scores"]["rag"], abs=1e-3)
    monkeypatch.setenv("DOCDUET__SERVING__ENGINES", '[{"name": "sft", "base_url": "http://127.0.0.1:1/v1"}]')
    assert list(said("explain", "Which port does the gateway listen on?")["scores"]) == ["rag", "sft"]
    monkeypatch.delenv("DOCDUET__SERVING__ENGINES")
    assert said("explain", "你好")["talk"] == "greeting"
    assert route("explain", "What does --port do?").output.startswith("rag\n  it names --port")
    assert "the synced pages give" in str(route("fit", "--simulate", "5000").exception)
    result = route("fit", "--simulate", "30", "--save-labels", "made-up.jsonl")
    assert "too few labels" in str(result.exception)
    labels = read_labels(home.root / "made-up.jsonl")
    assert len(labels) == 30
    assert all(label.simulated and set(label.features) == set(NAMES) for label in labels)
    assert any(label.features["verdict"] > 0.5 for label in labels)


def test_votes_and_thumbs_become_labels(home: Home) -> None:
    store = Store.open(database_url("", home))
    try:
        with store.writing() as db:
            for n in range(4):
                db.add(answered(f"ans_{n}", f"question {n}"))
            for n, winner in enumerate(("0", "tie", "both_bad")):
                db.add(Vote(answer_id=f"ans_{n}", owner="local", arms=["rag", "sft"], winner=winner, blind=True,
                            comment="", created_at=float(n)))  # fmt: skip
            for answer_id, arm, rating in (("ans_0", "sft", "up"), ("ans_3", "base", "up"), ("gone", "rag", "up")):
                db.add(Rating(answer_id=answer_id, choice=0, owner="local", arm=arm, rating=rating, reasons=[],
                              comment="", should_have_said="", created_at=9.0))  # fmt: skip
        found = [(label.question, dict(label.arms)) for label in labels_of(store)]
    finally:
        store.close()
    assert found == [
        ("question 0", {"rag": True, "sft": False}),
        ("question 1", {"rag": True, "sft": True}),
        ("question 2", {"rag": False, "sft": False}),
        ("question 0", {"sft": True}),
    ]


def answered(identity: str, question: str) -> Answer:
    history = [{"role": "system", "content": "x"}, {"role": "user", "content": "before"}]
    return Answer(
        id=identity, owner="local", conversation_id=None, asked_at=0.0, question=question, lang="en", history=history,
        filters={}, model="compare", route={}, blind=True, error={}, cancelled=False, finished_at=1.0,
    )  # fmt: skip

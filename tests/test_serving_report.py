"""GET /v1/report and `docduet eval report`: out of a real gateway's database, SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from data.home import Home
from docduet import app
from evals.report.inputs import Filters
from serving.report.rows import read
from serving.store.database import Store
from serving.store.facts import facts_of
from serving.store.tables import Answer, Choice, Vote
from tests.fakes import ScriptedEngine
from tests.store_gateway import ask, client, gateway, home_of

RUN = {"object": "eval_run", "set": "handbook", "results": [{"id": "q", "arm": "rag", "facts_recalled": 1.0}]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("report"))


@pytest.fixture
def http(home: Home, store_url: str) -> Iterator[httpx.Client]:
    with client(gateway(home, store_url, ScriptedEngine("It is port 7860 [1]."))) as http:
        yield http


def voted(http: httpx.Client, arm: str, user: str = "ann", **more: Any) -> str:
    """A comparison of `rag` with `base`, won by ``arm`` ("" for a tie)."""
    answer = ask(http, model="compare", arms=["rag", "base"], **more)
    won = {"rag": "0", "base": "1"}.get(arm, "tie")
    http.post("/votes", json={"answer_id": answer["id"], "winner": won}, headers={"X-User": user}).raise_for_status()
    return str(answer["id"])


def test_votes_and_answers_become_a_report(http: httpx.Client, store_url: str, home: Home) -> None:
    home.evals.mkdir(exist_ok=True)
    (home.evals / "first.json").write_text(json.dumps(RUN), encoding="utf-8")
    for arm in ("rag", "rag", "base", ""):
        voted(http, arm)
    voted(http, "base", question="What is the capital of France?")
    report = http.get("/report").json()
    (pair,) = report["pairs"]
    assert (pair["arms"], pair["counts"]["wins"], pair["counts"]["losses"], pair["counts"]["ties"]) == (
        ["rag", "base"],
        2,
        2,
        1,
    )
    told = {
        name: [(part["value"], part["counts"]["votes"]) for part in parts] for name, parts in pair["slices"].items()
    }
    assert told["topic"] == [("Ports", 4)]
    assert told["in_docs"] == [("yes", 4), ("no", 1)]
    assert told["lang"] == [("en", 5)]
    rag = next(voice for voice in report["voices"] if voice["arm"] == "rag")
    assert (rag["answers"], rag["refused"]["value"], rag["looked_at"]) == (5, 0.2, 5)
    assert rag["total_ms"]["p50"] > 0
    assert rag["citations"]["of"] == 4
    assert report["runs"][0]["scores"][0]["facts_recalled"]["value"] == 1.0
    assert report["votes"] == 5
    assert pair["arms"] == ["rag", "base"]
    assert (pair["counts"]["wins"], pair["counts"]["losses"]) == (2, 2)


def test_every_format_and_language(home: Home, tmp_path: Path) -> None:
    with client(gateway(home, f"sqlite:///{tmp_path}/docduet.sqlite", ScriptedEngine("Port 7860 [1]."))) as http:
        formats_of(http)


def formats_of(http: httpx.Client) -> None:
    voted(http, "rag")
    formats = {
        "csv": ("text/csv", "measure"),
        "html": ("text/html", "<!doctype"),
        "fragment": ("text/plain", "<article"),
    }
    for format, (kind, part) in formats.items():
        answer = http.get("/report", params={"format": format, "words": "zh"})
        assert answer.headers["content-type"].startswith(kind)
        assert part in answer.text
    assert "投票尚未证明" in http.get("/report", params={"format": "html", "words": "zh"}).text
    page = http.get("/report", params={"format": "html"})
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    for chart in ("win-rates", "voices"):
        assert http.get("/report", params={"format": "png", "chart": chart}).content.startswith(b"\x89PNG")
    for wrong in ({"format": "pdf"}, {"since": "soon"}, {"min_votes": 0}):
        refused = http.get("/report", params=wrong)
        assert (refused.status_code, refused.json()["error"]["param"].split(".")[-1]) == (400, *wrong)


def test_filters_leave_out_what_they_say(http: httpx.Client, store_url: str) -> None:
    voted(http, "rag")
    old = voted(http, "base")
    store = Store.open(store_url)
    with store.writing() as db:
        db.execute(update(Vote).where(Vote.answer_id == old).values(created_at=1.0, lang="zh", product="Widget"))
        db.execute(
            update(Answer).where(Answer.id == old).values(asked_at=1.0, lang="zh", filters={"product": "Widget"})
        )
    store.close()
    for query, votes in (({}, 2), ({"since": "1d"}, 1), ({"lang": "zh"}, 1), ({"product": "Widget"}, 1)):
        report = http.get("/report", params=query).json()
        assert report["votes"] == votes, query
        assert {voice["arm"]: voice["answers"] for voice in report["voices"]} == {"rag": votes, "base": votes}
    assert http.get("/report", params={"arms": "sft, rag"}).json()["votes"] == 0
    assert http.get("/report", params={"min_votes": 3}).json()["pairs"] == []


def test_a_blind_comparison_without_a_vote_is_counted_and_not_told(http: httpx.Client, store_url: str) -> None:
    answer = ask(http, "What is the capital of France?", model="compare", arms=["rag", "base"], blind=True)
    voices = {voice["arm"]: voice for voice in http.get("/report").json()["voices"]}
    assert {arm: (voice["answers"], voice["refused"]["of"], voice["looked_at"]) for arm, voice in voices.items()} == {
        "rag": (1, 0, 0),
        "base": (1, 0, 0),
    }
    http.post("/votes", json={"answer_id": answer["id"], "winner": "tie"}).raise_for_status()
    voices = {voice["arm"]: voice for voice in http.get("/report").json()["voices"]}
    assert voices["rag"]["refused"]["value"] == 1.0


def test_a_vote_keeps_what_the_report_needs_and_no_words(http: httpx.Client, store_url: str) -> None:
    voted(http, "rag", conversation="new")
    http.delete("/conversations").raise_for_status()
    store = Store.open(store_url)
    with store.reading() as db:
        vote = db.scalars(select(Vote)).one()
        (battle,) = read(db, Filters()).battles
    store.close()
    assert (vote.owner, vote.topic, vote.lang, vote.in_docs, vote.left_chars) == ("", "Ports", "en", "yes", 20)
    assert (battle.user, battle.topic, battle.left_chars) == ("", "Ports", 20)


def test_what_the_router_believed_in_is_kept() -> None:
    route = {"arms": ["rag", "sft"], "scores": {"rag": 0.4, "sft": 0.6, "base": 0.9}}
    choices = [_choice("sft", []), _choice("rag", [{"title": "Ports", "product": "Widget"}])]
    answer = Answer(**ROW, model="auto", route=route)
    assert facts_of(answer, choices) | {} == {
        "left_chars": 1,
        "right_chars": 1,
        "lang": "en",
        "topic": "Ports",
        "product": "Widget",
        "in_docs": "yes",
        "favoured": "sft",
    }
    assert facts_of(Answer(**ROW, model="compare", route=route), choices)["favoured"] == ""
    assert facts_of(Answer(**ROW, model="auto", route={"arms": ["rag", "sft"]}), choices)["favoured"] == ""


ROW: dict[str, Any] = {
    "id": "a",
    "owner": "ann",
    "conversation_id": None,
    "asked_at": 0.0,
    "question": "",
    "lang": "en",
}
ROW |= {"history": [], "filters": {}, "blind": False, "error": {}, "cancelled": False, "finished_at": 1.0}


def _choice(arm: str, sources: list[Any]) -> Choice:
    said: dict[str, Any] = {"text": "x", "reasoning": "", "refused": False, "degraded": "", "finish_reason": "stop"}
    more: dict[str, Any] = {"citations": [], "sources": sources, "timings_ms": {}, "usage": {}, "checks": {}}
    return Choice(answer_id="a", index=0, arm=arm, **said, **more)


def test_the_command_reads_the_database_or_asks_a_gateway(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    files = ["--html", "out/report.html", "--png", "out"]
    with client(gateway(home, f"sqlite:///{tmp_path}/docduet.sqlite", ScriptedEngine("Port 7860 [1]."))) as http:
        for arm in ("rag", "rag", "base"):
            voted(http, arm)
        url = str(http.base_url).removesuffix("/v1/").removesuffix("/v1")
        here = [json.loads(run("--json", *more)) for more in ((), ("--url", url))]
    for report in here:
        assert report["pairs"][0]["counts"]["wins"] == 2
    assert "The votes do not prove yet" in run(*files)
    assert "投票尚未证明" in run("--words", "zh")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "win-rates.png", "voices.png"}
    assert run("--csv").startswith("\ufeffsection")
    nobody = CliRunner().invoke(app, ["eval", "report", "--url", "http://127.0.0.1:9"])
    assert "cannot be asked" in str(nobody.exception)
    assert "choose from en, zh" in str(CliRunner().invoke(app, ["eval", "report", "--words", "fr"]).exception)


def run(*options: str) -> str:
    result = CliRunner().invoke(app, ["eval", "report", *options])
    assert result.exit_code == 0, result.exception
    return result.stdout

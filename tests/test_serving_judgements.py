"""Votes, thumbs and the report over HTTP, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from data.feedback import Turn, read_feedback
from data.home import Home
from serving.store.database import Store
from serving.store.tables import Rating
from tests.fakes import ScriptedEngine
from tests.store_gateway import QUESTION, ask, client, gateway, home_of


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("judgements"))


@pytest.fixture
def http(home: Home, store_url: str) -> Iterator[httpx.Client]:
    with client(gateway(home, store_url, ScriptedEngine("It is port 7860 [1]."))) as http:
        yield http


def compare(http: httpx.Client, **more: Any) -> dict[str, Any]:
    return ask(http, model="compare", arms=["rag", "base"], **more)


def vote(http: httpx.Client, answer_id: str, winner: str = "0", **more: Any) -> httpx.Response:
    return http.post("/votes", json={"answer_id": answer_id, "winner": winner} | more)


def test_a_blind_comparison_keeps_its_secret_until_the_vote(http: httpx.Client) -> None:
    answer = compare(http, blind=True, conversation="new")
    id = answer["docduet"]["conversation"]
    where = f"/conversations/{id}"
    for shown in (http.get(where).text, http.get(f"{where}/export").text, http.get(f"{where}/export?format=json").text):
        assert not [told for told in ("rag", "base", "port.md", "listens", "_ms", "url_citation") if told in shown]
    (turn,) = http.get(where).json()["turns"]
    assert [c["message"]["content"] for c in turn["choices"]] == [c["message"]["content"] for c in answer["choices"]]
    voted = vote(http, answer["id"], "1").json()
    assert sorted(voted["arms"]) == ["base", "rag"]
    reading = voted["arms"].index("rag")
    assert voted["choices"][reading]["docduet"]["sources"][0]["url"] == "port.md"
    assert voted["choices"][reading]["message"]["content"] == "It is port 7860 [1]."
    (turn,) = http.get(where).json()["turns"]
    assert turn["choices"] == voted["choices"]
    assert turn["vote"]["winner"] == "1"


def test_a_blind_vote_is_final_and_an_open_one_may_be_changed(http: httpx.Client) -> None:
    blind, seen = compare(http, blind=True)["id"], compare(http)["id"]
    assert vote(http, blind, "tie").status_code == 200
    again = vote(http, blind, "0")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_voted")
    assert [vote(http, seen, winner).json()["winner"] for winner in ("0", "both_bad")] == ["0", "both_bad"]
    counts = http.get("/report").json()["pairs"][0]["counts"]
    assert (counts["votes"], counts["ties"], counts["both_bad"]) == (2, 1, 1)


def test_only_two_answers_are_voted_on(http: httpx.Client) -> None:
    answer = vote(http, ask(http)["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_a_comparison")
    assert vote(http, "ans_0").status_code == 404
    assert vote(http, compare(http)["id"], "2").status_code == 400


def test_a_comparison_with_one_side_failed_is_no_battle(home: Home, store_url: str) -> None:
    """`rag` quotes where the engine fails; `base` cannot answer. Which is which is told without a vote."""
    with client(gateway(home, store_url, ScriptedEngine("x", fail_after=0))) as http:
        answer = compare(http, blind=True, conversation="new")
        assert vote(http, answer["id"]).json()["error"]["code"] == "not_a_comparison"
        (turn,) = http.get(f"/conversations/{answer['docduet']['conversation']}").json()["turns"]
        sides = {choice["docduet"]["arm"]: choice for choice in turn["choices"]}
        assert sides["base"]["finish_reason"] == "error"
        assert "broke off" in sides["base"]["docduet"]["error"]["message"]
        assert sides["rag"]["docduet"]["degraded"].startswith("engine failed")
        counts = http.get("/report").json()["answers"]
        assert (counts["base"]["failed"], counts["rag"]["degraded"]) == (1, 1)


def test_a_correction_becomes_training_data(http: httpx.Client, home: Home) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    answer = ask(http, messages=[*history, {"role": "user", "content": QUESTION}])
    said = {
        "answer_id": answer["id"],
        "rating": "down",
        "reasons": ["incomplete"],
        "comment": "no flag",
        "should_have_said": "Port 7860; change it with --port.",
    }
    before = len(read_feedback(home.feedback)) if home.feedback.exists() else 0
    for _ in range(2):  # the same again adds nothing
        told = {"object": "feedback", "choice": 0, "correction": {"review": "kept", "use": "sft", "pages": None}}
        assert http.post("/feedback", json=said).json() == told | said
    (kept,) = read_feedback(home.feedback)[before:]
    assert (kept.question, kept.answer) == (QUESTION, "It is port 7860 [1].")
    assert (kept.correction, kept.comment, kept.arm) == (said["should_have_said"], "no flag", "rag")
    assert kept.history == tuple(Turn(**message) for message in history)
    assert kept.sources == ("port.md",)
    assert kept.answer_id == answer["id"]


def test_a_correction_that_cannot_be_written_down_can_be_sent_again(http: httpx.Client, home: Home) -> None:
    said = {"answer_id": ask(http)["id"], "rating": "down", "should_have_said": "Port 7860, always."}
    home.feedback.unlink(missing_ok=True)
    home.feedback.mkdir()
    failed = http.post("/feedback", json=said)
    assert (failed.status_code, failed.json()["error"]["code"]) == (503, "feedback_file")
    home.feedback.rmdir()
    assert http.post("/feedback", json=said).status_code == 200
    assert [kept.correction for kept in read_feedback(home.feedback)] == ["Port 7860, always."]


def test_a_later_thumb_replaces_the_earlier(http: httpx.Client) -> None:
    answer = compare(http, conversation="new")
    for choice, rating in ((0, "down"), (1, "down"), (0, "up")):
        body = {"answer_id": answer["id"], "choice": choice, "rating": rating}
        assert http.post("/feedback", json=body).status_code == 200
    (turn,) = http.get(f"/conversations/{answer['docduet']['conversation']}").json()["turns"]
    assert [(entry["choice"], entry["rating"]) for entry in turn["feedback"]] == [(0, "up"), (1, "down")]
    counts = http.get("/report").json()["answers"]
    assert [(counts[arm]["up"], counts[arm]["down"]) for arm in ("rag", "base")] == [(1, 0), (0, 1)]
    beyond = http.post("/feedback", json={"answer_id": answer["id"], "choice": 2, "rating": "up"})
    assert (beyond.status_code, beyond.json()["error"]["param"]) == (400, "choice")


def test_votes_outlive_a_deleted_conversation_without_a_word(http: httpx.Client, store_url: str) -> None:
    from serving.store.database import Store
    from serving.store.tables import Rating, Vote

    answer = compare(http, conversation="new")
    vote(http, answer["id"], "0", comment="because of Bob")
    said = {"answer_id": answer["id"], "rating": "down", "comment": "secret", "should_have_said": "secret"}
    http.post("/feedback", json=said)
    http.delete(f"/conversations/{answer['docduet']['conversation']}")
    report = http.get("/report").json()
    assert report["votes"] == 1
    assert report["pairs"][0]["arms"] == ["rag", "base"]
    assert (report["pairs"][0]["counts"]["wins"], report["pairs"][0]["counts"]["losses"]) == (1, 0)
    assert report["answers"]["rag"] == {"answers": 0, "refused": 0, "degraded": 0, "failed": 0, "up": 0, "down": 1}
    assert vote(http, answer["id"]).status_code == 404
    store = Store.open(store_url)
    with store.reading() as db:
        left, thumb = db.query(Vote).one(), db.query(Rating).one()
        assert (left.owner, left.comment, thumb.owner, thumb.comment, thumb.should_have_said) == ("",) * 5
    store.close()


def test_the_report_counts_everybodys_answers_and_tells_nothing_else(http: httpx.Client) -> None:
    ask(http)
    ask(http, "What is the capital of France?")
    report = http.get("/report", headers={"X-User": "bob"}).json()
    assert report["answers"] == {
        "rag": {"answers": 2, "refused": 1, "degraded": 0, "failed": 0, "up": 0, "down": 0},
    }
    assert report["pairs"] == []


def test_nothing_else_tells_the_sides_of_a_blind_comparison(http: httpx.Client) -> None:
    """Not the report, where a thumb shows up under its arm; not the search, which knows of markers; not a response."""
    answer = compare(http, blind=True, conversation="new")
    before = http.get("/report").json()["answers"]
    http.post("/feedback", json={"answer_id": answer["id"], "choice": 0, "rating": "up"}).raise_for_status()
    assert http.get("/report").json()["answers"] == before
    assert http.get("/conversations", params={"q": "7860 [1]"}).json()["data"] == []
    later = {"model": "base", "input": "What did you say?", "previous_response_id": f"resp_{answer['id'][4:]}"}
    refused = http.post("/responses", json=later)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "blind_comparison")
    vote(http, answer["id"]).raise_for_status()
    assert sum(counts["up"] for counts in http.get("/report").json()["answers"].values()) == 1
    assert len(http.get("/conversations", params={"q": "7860 [1]"}).json()["data"]) == 1
    assert http.post("/responses", json=later).status_code == 200


def test_what_administrators_see_of_a_blind_comparison(home: Home, store_url: str) -> None:
    """It may be their own: neither gaps nor corrections tell its sides before the vote."""
    engines = ScriptedEngine("It is port 7860 [1]."), ScriptedEngine("It is port 7860.", name="sft")
    with client(gateway(home, store_url, *engines)) as http, httpx.Client(base_url=http.base_url) as admin:
        id = ask(http, model="compare", arms=["rag", "sft"], blind=True)["id"]
        for choice in (0, 1):
            said = {"answer_id": id, "choice": choice, "rating": "down", "should_have_said": "Another."}
            http.post("/feedback", json=said).raise_for_status()
        left, right = admin.get(f"/admin/answers/{id}").json()["choices"]
        assert left == right
        kept = admin.get("/admin/feedback", params={"limit": 2}).json()["data"]
        promoted = admin.post(f"/admin/feedback/{id}/promote", json={"choice": 1}).json()
        for seen in (*kept, promoted):
            assert (seen["answer_id"], seen["arm"], seen["sources"], seen["pages"]) == (id, "", [], [])
            assert seen["answer"] == left["text"]
        vote(http, id).raise_for_status()
        told = {choice["arm"]: choice for choice in admin.get(f"/admin/answers/{id}").json()["choices"]}
        assert told["sft"]["sentences"] == 1
        shown = {entry["arm"]: entry for entry in admin.get("/admin/feedback", params={"limit": 2}).json()["data"]}
        assert shown["rag"]["sources"] == ["port.md"]


def test_what_no_database_takes_is_not_there(http: httpx.Client) -> None:
    paths = {"/admin/answers/a%00b": 404, "/report?lang=%00": 200, "/report?product=%00": 200}
    paths |= {"/conversations?after=1.0_%00": 200, "/conversations/%00": 404, f"/admin/pages?offset={10**30}": 400}
    with httpx.Client(base_url=http.base_url, timeout=30) as admin:
        assert {path: admin.get(path).status_code for path in paths} == paths


def test_deleting_leaves_no_words_of_a_thumb(http: httpx.Client, store_url: str) -> None:
    id = ask(http)["id"]
    words = {"reasons": ["names a customer"], "comment": "a secret", "should_have_said": "another"}
    http.post("/feedback", json={"answer_id": id, "rating": "down"} | words).raise_for_status()
    http.delete("/conversations").raise_for_status()
    store = Store.open(store_url)
    with store.reading() as db:
        (kept,) = db.scalars(select(Rating).where(Rating.answer_id == id))
    store.close()
    assert (kept.owner, kept.reasons, kept.comment, kept.should_have_said, kept.rating) == ("", [], "", "", "down")

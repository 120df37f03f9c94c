"""Corrections over HTTP, on SQLite and PostgreSQL: edited, taken back, proposed, promoted, turned down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from data.corrections import load
from data.home import Home
from serving.store import judgements
from tests.fakes import ScriptedEngine
from tests.store_gateway import ask, client, gateway, home_of

SAID = "Port 7860; change it with --port."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("feedback"))


@pytest.fixture
def http(home: Home, store_url: str) -> Iterator[httpx.Client]:
    """The staff member ann; without the header X-User one is the administrator of an open gateway."""
    home.feedback.unlink(missing_ok=True)
    with client(gateway(home, store_url, ScriptedEngine("It is port 7860 [1]."))) as http:
        yield http


@pytest.fixture
def admin(http: httpx.Client) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=http.base_url, timeout=30) as admin:
        yield admin


def correct(http: httpx.Client, answer_id: str, said: str = SAID, **more: Any) -> dict[str, Any]:
    body = {"answer_id": answer_id, "rating": "down", "should_have_said": said} | more
    answer = http.post("/feedback", json=body)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def feedback_of(http: httpx.Client, answer: dict[str, Any]) -> list[dict[str, Any]]:
    (turn,) = http.get(f"/conversations/{answer['docduet']['conversation']}").json()["turns"]
    found: list[dict[str, Any]] = turn["feedback"]
    return found


def test_a_conversation_says_what_became_of_a_correction(http: httpx.Client, admin: httpx.Client) -> None:
    answer = ask(http, conversation="new")
    id = answer["id"]
    correct(http, id, pages=["port.md"], reasons=["incomplete"])
    (kept,) = feedback_of(http, answer)
    assert kept["correction"]["review"] == "kept"
    assert kept["correction"]["pages"] == ["port.md"]
    assert (kept["should_have_said"], kept["reasons"]) == (SAID, ["incomplete"])
    proposed = http.post(f"/feedback/{id}/promote").json()
    assert (proposed["object"], proposed["review"], proposed["answer_id"]) == ("feedback.correction", "proposed", id)
    assert proposed["use"] in ("sft", "eval")
    admin.post(f"/admin/feedback/{id}/promote").raise_for_status()
    assert feedback_of(http, answer)[0]["correction"]["review"] == "promoted"
    assert correct(http, id, "Another port.")["correction"]["review"] == "proposed"
    admin.post(f"/admin/feedback/{id}/reject").raise_for_status()
    assert http.post(f"/feedback/{id}/promote").json()["review"] == "rejected"
    assert correct(http, id, SAID)["correction"]["review"] == "kept"


def test_what_is_taken_back_is_taken_back_everywhere(http: httpx.Client, home: Home) -> None:
    answer = ask(http, conversation="new")
    id = answer["id"]
    correct(http, id)
    gone = http.delete(f"/feedback/{id}").json()
    assert gone == {"object": "feedback.deleted", "answer_id": id, "choice": 0, "deleted": True}
    assert feedback_of(http, answer) == []
    assert load(home.feedback) == []
    assert code(http.post(f"/feedback/{id}/promote")) == (404, "correction_not_found")
    correct(http, id)
    assert correct(http, id, "", rating="up")["correction"] is None
    assert load(home.feedback) == []
    assert feedback_of(http, answer)[0]["rating"] == "up"
    http.delete(f"/feedback/{id}").raise_for_status()
    http.delete(f"/feedback/{id}").raise_for_status()


def test_only_whoever_asked_may_correct_or_promote(http: httpx.Client, home: Home) -> None:
    id = ask(http)["id"]
    correct(http, id)
    bob = {"X-User": "bob"}
    for answer in (http.delete(f"/feedback/{id}", headers=bob), http.post(f"/feedback/{id}/promote", headers=bob)):
        assert code(answer) == (404, "answer_not_found")
    assert len(load(home.feedback)) == 1


def test_an_administrators_own_correction_needs_nobody_else(admin: httpx.Client, home: Home) -> None:
    id = ask(admin)["id"]
    correct(admin, id)
    assert admin.post(f"/feedback/{id}/promote").json()["review"] == "promoted"
    assert correct(admin, id, "Another port.")["correction"]["review"] == "promoted"
    assert [(entry.correction, entry.review) for entry in load(home.feedback)] == [("Another port.", "promoted")]


def test_both_sides_of_a_comparison_are_corrected(http: httpx.Client, home: Home) -> None:
    id = ask(http, model="compare", arms=["rag", "base"])["id"]
    for choice in (0, 1):
        correct(http, id, f"{SAID} {choice}", choice=choice)
    http.post(f"/feedback/{id}/promote", json={"choice": 1}).raise_for_status()
    assert [(entry.choice, entry.review) for entry in load(home.feedback)] == [(0, "kept"), (1, "proposed")]
    http.delete(f"/feedback/{id}", params={"choice": 0}).raise_for_status()
    assert [entry.choice for entry in load(home.feedback)] == [1]


def test_administrators_page_through_the_corrections(http: httpx.Client, admin: httpx.Client) -> None:
    ids = [ask(http, f"Which port does gateway {n} listen on?")["id"] for n in range(5)]
    for n, id in enumerate(ids):
        correct(http, id, f"Port {n}.")
    assert code(http.get("/admin/feedback")) == (403, "admins_only")
    first = admin.get("/admin/feedback", params={"limit": 2}).json()
    assert [entry["answer_id"] for entry in first["data"]] == [ids[4], ids[3]]
    assert first["counts"] == {"kept": 5, "proposed": 0, "promoted": 0, "rejected": 0}
    entry = admin.post(f"/admin/feedback/{ids[3]}/promote").json()
    assert (entry["correction"], entry["answer"]) == ("Port 3.", "It is port 7860 [1].")
    assert (entry["review"], entry["pages"]) == ("promoted", ["port.md"])
    second = admin.get("/admin/feedback", params={"limit": 2, "after": first["next"]}).json()
    third = admin.get("/admin/feedback", params={"limit": 2, "after": second["next"]}).json()
    assert [e["answer_id"] for e in second["data"] + third["data"]] == [ids[2], ids[1], ids[0]]
    assert (third["has_more"], third["next"]) == (False, None)
    promoted = admin.get("/admin/feedback", params={"review": "promoted"}).json()
    assert [entry["answer_id"] for entry in promoted["data"]] == [ids[3]]
    for wrong in ({"after": "x"}, {"after": "nan:0:a"}, {"review": "good"}, {"limit": 0}):
        assert code(admin.get("/admin/feedback", params=wrong)) == (400, "invalid_request")
    assert code(admin.post("/admin/feedback/ans_0/promote")) == (404, "correction_not_found")


@pytest.mark.parametrize("decision", ["promote", "reject"])
def test_no_decision_about_words_that_were_not_read(
    http: httpx.Client, admin: httpx.Client, home: Home, decision: str
) -> None:
    id = ask(http)["id"]
    correct(http, id)
    (read,) = admin.get("/admin/feedback").json()["data"]
    correct(http, id, "Send me your password.")
    path, seen = f"/admin/feedback/{id}/{decision}", {"version": read["version"]}
    assert code(admin.post(path, json=seen)) == (409, "correction_changed")
    assert [entry.review for entry in load(home.feedback)] == ["kept"]
    (again,) = admin.get("/admin/feedback").json()["data"]
    decided = admin.post(path, json={"version": again["version"]}).json()
    assert decided["review"] == {"promote": "promoted", "reject": "rejected"}[decision]
    assert decided["version"] == again["version"] != read["version"]
    assert admin.post(path, json=seen | {"version": ""}).status_code == 200


def test_a_file_that_cannot_be_written_loses_nothing(http: httpx.Client, admin: httpx.Client, home: Home) -> None:
    answer = ask(http, conversation="new")
    id = answer["id"]
    correct(http, id)
    kept = home.feedback.read_bytes()
    home.feedback.unlink()
    home.feedback.mkdir()
    edited = {"answer_id": id, "rating": "down", "should_have_said": "Another.", "comment": "see there"}
    assert code(http.post("/feedback", json=edited)) == (503, "feedback_file")
    assert code(http.delete(f"/feedback/{id}")) == (503, "feedback_file")
    assert code(http.post(f"/feedback/{id}/promote")) == (503, "feedback_file")
    assert code(admin.get("/admin/feedback")) == (503, "feedback_file")
    (thumb,) = feedback_of(http, answer)  # the conversation is shown all the same
    assert (thumb["should_have_said"], thumb["comment"], thumb["correction"]) == (SAID, "see there", None)
    home.feedback.rmdir()
    home.feedback.write_bytes(kept)
    http.post("/feedback", json=edited).raise_for_status()
    assert [entry.correction for entry in load(home.feedback)] == ["Another."]


def test_who_leaves_after_sending_a_correction_loses_nothing(
    http: httpx.Client, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, left, rate = ask(http)["id"], threading.Event(), judgements.rate

    def slowly(*arguments: Any) -> Any:
        kept = rate(*arguments)
        left.wait(10)
        return kept

    monkeypatch.setattr(judgements, "rate", slowly)
    body = {"answer_id": id, "rating": "down", "should_have_said": SAID}
    with httpx.Client(base_url=http.base_url, headers=http.headers) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post("/feedback", json=body, timeout=0.5)
    time.sleep(0.3)  # until the gateway has noticed
    left.set()
    until = time.monotonic() + 10
    while not load(home.feedback) and time.monotonic() < until:
        time.sleep(0.05)
    assert [entry.correction for entry in load(home.feedback)] == [SAID]

"""Conversations over HTTP, on SQLite and PostgreSQL: nothing of an answer is lost, and nobody sees another's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from data.home import Home
from serving.store import conversations
from serving.store.database import Store
from serving.store.tables import Answer
from tests.fakes import ScriptedEngine
from tests.store_gateway import QUESTION, ask, client, gateway, home_of

UNKNOWN = "conv_000000000000000000000000"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("conversations"))


@pytest.fixture
def http(home: Home, store_url: str) -> Iterator[httpx.Client]:
    with client(gateway(home, store_url, ScriptedEngine("🙂 It is port 7860 [1]."))) as http:
        yield http


def test_a_stored_answer_is_the_answer(http: httpx.Client) -> None:
    """Text, citations with offsets, sources: what the client saw is what it sees again."""
    answer = ask(http, conversation="new")
    id = answer["docduet"]["conversation"]
    stored = http.get(f"/conversations/{id}").json()
    assert (stored["id"], stored["title"]) == (id, QUESTION)
    (turn,) = stored["turns"]
    assert (turn["question"], turn["state"], turn["answer_id"]) == (QUESTION, "finished", answer["id"])
    assert turn["choices"] == answer["choices"]
    message = turn["choices"][0]["message"]
    cited = message["annotations"][0]["url_citation"]
    assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"
    assert turn["route"]["query"] == answer["docduet"]["route"]["query"]


def test_a_source_outlives_the_index(home: Home, store_url: str) -> None:
    from serving.store.tables import Choice

    with client(gateway(home, store_url, ScriptedEngine("Port 7860 [1]."))) as http:
        id = ask(http, conversation="new")["docduet"]["conversation"]
    empty = Home(home.root / "empty")
    with client(gateway(empty, store_url, ScriptedEngine(""))) as http:
        source = http.get(f"/conversations/{id}").json()["turns"][0]["choices"][0]["docduet"]["sources"][0]
        assert "listens on port 7860" in source["quote"]
    store = Store.open(store_url)
    with store.reading() as db:
        assert len(db.query(Choice).one().sources[0]["page_hash"]) == 64
    store.close()


def test_turns_come_in_their_order_and_the_newest_conversation_first(http: httpx.Client) -> None:
    first = ask(http, "Which port is it?", conversation="new")["docduet"]["conversation"]
    second = ask(http, "When does an engine restart?", conversation="new")["docduet"]["conversation"]
    again = ask(http, "And how do I change the port?", conversation=first)
    assert again["docduet"]["conversation"] == first
    assert [entry["id"] for entry in http.get("/conversations").json()["data"]] == [first, second]
    turns = http.get(f"/conversations/{first}").json()["turns"]
    assert [turn["question"] for turn in turns] == ["Which port is it?", "And how do I change the port?"]


def test_a_stream_names_its_conversation_first(http: httpx.Client) -> None:
    body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    with http.stream("POST", "/chat/completions", json=body | {"docduet": {"conversation": "new"}}) as response:
        first = next(line for line in list(response.iter_lines()) if line)
    id = json.loads(first.removeprefix("data: "))["docduet"]["conversation"]
    assert http.get(f"/conversations/{id}").json()["turns"][0]["state"] == "finished"


def test_without_a_conversation_none_is_listed(http: httpx.Client) -> None:
    answer = ask(http)
    assert answer["docduet"]["conversation"] is None
    assert http.get("/conversations").json()["data"] == []
    assert http.post("/feedback", json={"answer_id": answer["id"], "rating": "up"}).status_code == 200


def test_what_shall_not_be_stored_is_not(http: httpx.Client) -> None:
    answer = ask(http, store=False)
    assert http.post("/feedback", json={"answer_id": answer["id"], "rating": "up"}).status_code == 404
    both = http.post(
        "/chat/completions",
        json={
            "model": "rag",
            "messages": [{"role": "user", "content": QUESTION}],
            "docduet": {"store": False, "conversation": "new"},
        },
    )
    assert (both.status_code, both.json()["error"]["param"]) == (400, "docduet.conversation")


def test_pages_of_the_list(http: httpx.Client) -> None:
    ids = [http.post("/conversations", json={"title": f"No. {n}"}).json()["id"] for n in range(7)][::-1]
    seen: list[str] = []
    after = ""
    while True:
        page = http.get("/conversations", params={"limit": 3, "after": after}).json()
        seen += [entry["id"] for entry in page["data"]]
        if not page["has_more"]:
            break
        http.patch(f"/conversations/{seen[-1]}", json={"title": "renamed"})  # which moves nothing
        after = page["next"]
    assert seen == ids
    assert page["next"] is None
    for wrong in ("x", "1_", "nan_conv_1"):
        assert http.get("/conversations", params={"after": wrong}).status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PORT DOES", True),  # the question, in another case
        ("port 7860", True),  # the answer
        ("端口", True),
        ("größe", True),
        ("%", False),
        ("_ort", False),
        ("' OR 1=1 --", False),
        ("nowhere", False),
    ],
)
def test_search(http: httpx.Client, query: str, found: bool) -> None:
    id = ask(http, f"{QUESTION} 哪个端口？ Die GRÖẞE und GRÖSSE: GRÖßE", conversation="new")["docduet"]["conversation"]
    http.patch(f"/conversations/{id}", json={"title": "Title"})
    data = http.get("/conversations", params={"q": query}).json()["data"]
    assert [entry["id"] for entry in data] == [id] * found
    assert [entry["id"] for entry in http.get("/conversations", params={"q": "tItLe"}).json()["data"]] == [id]


def test_rename_and_delete(http: httpx.Client) -> None:
    id = ask(http, conversation="new")["docduet"]["conversation"]
    assert http.patch(f"/conversations/{id}", json={"title": " New\n title "}).json()["title"] == "New title"
    assert http.patch(f"/conversations/{id}", json={"title": "  "}).status_code == 400
    assert http.delete(f"/conversations/{id}").json() == {
        "id": id,
        "object": "conversation.deleted",
        "deleted": True,
    }
    assert http.get(f"/conversations/{id}").status_code == 404
    assert http.get("/conversations").json()["data"] == []


def test_delete_all_of_ones_own(http: httpx.Client) -> None:
    alone = ask(http)["id"]
    ask(http, conversation="new")
    kept = http.post("/conversations", headers={"X-User": "bob"}).json()["id"]
    assert http.delete("/conversations").json()["conversations"] == 1
    assert http.get("/conversations").json()["data"] == []
    assert http.post("/feedback", json={"answer_id": alone, "rating": "up"}).status_code == 404
    assert http.get(f"/conversations/{kept}", headers={"X-User": "bob"}).status_code == 200


def test_export(http: httpx.Client) -> None:
    id = ask(http, conversation="new")["docduet"]["conversation"]
    ask(http, "网关默认监听哪个端口？", conversation=id)
    http.patch(f"/conversations/{id}", json={"title": "Ports [x](http://e) <b>"})
    markdown = http.get(f"/conversations/{id}/export")
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert f'filename="{id}.md"' in markdown.headers["content-disposition"]
    text = markdown.text
    assert text.startswith("# Ports \\[x\\](http://e) \\<b\\>\n")
    assert "## Question 1\n\nWhich port" in text
    assert "🙂 It is port 7860[^1-1]." in text.replace("7860 [^", "7860[^")
    assert "[^1-1]: [Ports](http" in text
    assert "## 问题 2" in text
    assert "[^2-1]: " in text
    whole = http.get(f"/conversations/{id}/export", params={"format": "json"})
    assert whole.json() == http.get(f"/conversations/{id}").json()
    assert http.get(f"/conversations/{id}/export", params={"format": "pdf"}).status_code == 400


def test_nobody_reaches_anothers(http: httpx.Client) -> None:
    """Every route with ids of somebody else: 404, in the very words of an id that does not exist; nothing changes."""
    answer = ask(http, conversation="new")
    mine, answer_id = answer["docduet"]["conversation"], answer["id"]
    before = http.get(f"/conversations/{mine}").json()

    def attempts(conversation: str, answer: str) -> list[tuple[int, Any]]:
        asked = {
            "model": "rag",
            "messages": [{"role": "user", "content": QUESTION}],
            "docduet": {"conversation": conversation},
        }
        requests: list[tuple[str, str, Any]] = [
            ("GET", f"/conversations/{conversation}", None),
            ("PATCH", f"/conversations/{conversation}", {"title": "stolen"}),
            ("DELETE", f"/conversations/{conversation}", None),
            ("GET", f"/conversations/{conversation}/export", None),
            ("GET", f"/conversations/{conversation}/export?format=json", None),
            ("POST", "/chat/completions", asked),
            ("POST", "/chat/completions", asked | {"stream": True}),
            ("POST", "/votes", {"answer_id": answer, "winner": "0"}),
            ("POST", "/feedback", {"answer_id": answer, "rating": "down", "should_have_said": "x"}),
        ]
        responses = [http.request(how, where, json=body, headers={"X-User": "eve"}) for how, where, body in requests]
        return [
            (r.status_code, json.loads(r.text.replace(conversation, "ID").replace(answer, "ID"))) for r in responses
        ]

    theirs, unknown = attempts(mine, answer_id), attempts(UNKNOWN, "ans_0")
    assert theirs == unknown
    assert {status for status, _ in theirs} == {404}
    assert http.get("/conversations", headers={"X-User": "eve"}).json()["data"] == []
    assert http.get("/conversations", params={"q": "port"}, headers={"X-User": "eve"}).json()["data"] == []
    http.delete("/conversations", headers={"X-User": "eve"})
    assert http.get(f"/conversations/{mine}").json() == before


def test_twenty_at_once(http: httpx.Client) -> None:
    id = ask(http, conversation="new")["docduet"]["conversation"]
    with ThreadPoolExecutor(20) as pool:
        shared = list(pool.map(lambda n: ask(http, f"{QUESTION} {n}", conversation=id), range(20)))
        own = list(pool.map(lambda n: ask(http, f"{QUESTION} {n}", conversation="new"), range(20)))
    assert len(http.get(f"/conversations/{id}").json()["turns"]) == 21
    assert {turn["id"] for turn in shared} < {t["answer_id"] for t in http.get(f"/conversations/{id}").json()["turns"]}
    assert len({answer["docduet"]["conversation"] for answer in own}) == 20
    assert len(http.get("/conversations", params={"limit": 100}).json()["data"]) == 21


def test_old_conversations_go_with_keep_days(home: Home, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.store.recorder.PURGE_BATCH", 2)
    day = 86400.0
    store = Store.open(store_url)
    with store.writing() as db:
        for n in range(5):
            db.add(conversations.new(f"conv_old{n}", "ann", "old", time.time() - 3 * day))
        db.add(conversations.new("conv_young", "ann", "young", time.time() - day))
    store.close()
    with client(gateway(home, store_url, keep_days=2)) as http:
        for _ in range(100):
            listed = [entry["title"] for entry in http.get("/conversations").json()["data"]]
            if listed == ["young"]:
                break
            time.sleep(0.05)
    assert listed == ["young"]


def test_text_that_databases_do_not_take(http: httpx.Client) -> None:
    id = ask(http, f"{QUESTION} \0 \U0001f600", conversation="new")["docduet"]["conversation"]
    assert "\ufffd \U0001f600" in http.get(f"/conversations/{id}").json()["turns"][0]["question"]
    assert http.patch(f"/conversations/{id}", json={"title": "a\0b"}).status_code == 200
    assert http.get("/conversations", params={"q": "\0"}).status_code == 200
    assert http.get("/conversations/conv_%00").status_code == 404


def test_an_answer_takes_the_place_of_another_and_of_what_followed(http: httpx.Client, store_url: str) -> None:
    first = ask(http, "Which port is it?", conversation="new")
    id = first["docduet"]["conversation"]
    second = ask(http, "And how is it changed?", conversation=id)
    third = ask(http, "And why zebra?", conversation=id)
    edited = ask(http, "And how do I change it?", conversation=id, replace=second["id"])

    def shown() -> list[str]:
        return [turn["answer_id"] for turn in http.get(f"/conversations/{id}").json()["turns"]]

    assert shown() == [first["id"], edited["id"]]
    assert "zebra" not in http.get(f"/conversations/{id}/export").text
    assert http.get("/conversations", params={"q": "zebra"}).json()["data"] == []
    assert http.get(f"/conversations/{id}").json()["title"] == "Which port is it?"
    again = ask(http, "What is the port?", conversation=id, replace=first["id"])
    assert shown() == [again["id"]]
    assert http.get(f"/conversations/{id}").json()["title"] == "What is the port?"
    http.patch(f"/conversations/{id}", json={"title": "Mine"})
    ask(http, "Which one?", conversation=id, replace=again["id"])
    assert http.get(f"/conversations/{id}").json()["title"] == "Mine"
    assert http.post("/feedback", json={"answer_id": third["id"], "rating": "down"}).status_code == 200
    http.delete(f"/conversations/{id}")
    store = Store.open(store_url)
    with store.reading() as db:
        assert db.query(Answer).count() == 0
    store.close()


def test_only_an_answer_of_the_same_conversation_is_replaced(http: httpx.Client) -> None:
    answer = ask(http, conversation="new")
    other = ask(http, conversation="new")["docduet"]["conversation"]

    def refused(conversation: str, replace: str) -> tuple[int, str, str]:
        own = {"conversation": conversation, "replace": replace}
        body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}], "docduet": own}
        response = http.post("/chat/completions", json=body)
        return response.status_code, response.json()["error"]["code"], response.json()["error"]["param"]

    assert refused(other, answer["id"]) == (404, "answer_not_found", "docduet.replace")
    assert refused(other, "ans_nothing") == (404, "answer_not_found", "docduet.replace")
    assert refused("", answer["id"]) == (400, "invalid_request", "docduet.replace")
    assert refused("new", answer["id"]) == (400, "invalid_request", "docduet.replace")


def test_an_error_says_where_the_question_was_written_down(http: httpx.Client) -> None:
    def failed(conversation: str) -> httpx.Response:
        own = {"conversation": conversation, "filters": {"product": "None"}}
        body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}], "docduet": own}
        return http.post("/chat/completions", json=body)

    first = failed("new")
    assert (first.status_code, first.json()["error"]["code"]) == (400, "unknown_label")
    id = first.headers["X-DocDuet-Conversation"]
    assert failed(id).headers["X-DocDuet-Conversation"] == id
    (entry,) = http.get("/conversations").json()["data"]
    assert [turn["state"] for turn in http.get(f"/conversations/{entry['id']}").json()["turns"]] == ["failed"] * 2
    assert "X-DocDuet-Conversation" not in failed(UNKNOWN).headers
    assert "X-DocDuet-Conversation" not in failed("").headers


def test_a_search_gives_up(http: httpx.Client, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import insert

    from serving.store.tables import Said

    id = ask(http, conversation="new")["docduet"]["conversation"]
    ids = [ask(http, conversation=id)["id"]]
    store = Store.open(store_url)
    with store.writing() as db:
        other = conversations.new("conv_long", "ann", "Long")
        db.add(other)
        db.flush()
        db.execute(insert(Answer.__table__), [answer_like(db, ids[0], f"ans_{n}", other.id) for n in range(3000)])
        rows = [{"answer_id": f"ans_{n}", "conversation_id": other.id, "question": "x" * 2000} for n in range(3000)]
        db.execute(insert(Said), [row | {"answered": ""} for row in rows])
    store.close()
    monkeypatch.setattr(conversations, "SEARCH_S", 0.0)
    late = http.get("/conversations", params={"q": "nowhere"})
    assert (late.status_code, late.json()["error"]["code"]) == (503, "search_too_long")
    monkeypatch.setattr(conversations, "SEARCH_S", 5.0)
    assert http.get("/conversations", params={"q": "nowhere"}).json()["data"] == []


def answer_like(db: Any, known: str, id: str, conversation: str) -> dict[str, Any]:
    """A row as that of a known answer, in another conversation."""
    row = db.get_one(Answer, known)
    columns = {column.key: getattr(row, column.key) for column in Answer.__table__.columns}
    return columns | {"id": id, "conversation_id": conversation}

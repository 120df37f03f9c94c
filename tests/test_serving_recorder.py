"""Answers are kept whatever happens, and answers come whatever happens to what keeps them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from serving.arms.events import Finished, Started, Text
from serving.arms.turn import Turn
from serving.engines.spent import Call
from serving.exchange import Answer as Said
from serving.exchange import Choices, Exchange, Route
from serving.store import recorder as module
from serving.store.database import Store
from serving.store.recorder import Recorder
from serving.store.snapshot import MAX_HISTORY_CHARS, question_row
from serving.store.tables import Answer, Choice
from tests.postgres_server import Database
from tests.store_gateway import QUESTION, Endless, ask, client, gateway, home_of, process

STREAM = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return home_of(tmp_path_factory.mktemp("recorder"))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/docduet.sqlite"


def soon(found: Callable[[], Any]) -> Any:
    """What ``found`` gives as soon as it gives something."""
    for _ in range(400):
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it never came")


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=f"{url}/v1", headers={"X-User": "ann"}, timeout=30)


async def taken(recorder: Recorder) -> None:
    """Until the writer has taken all that waits."""
    await asyncio.to_thread(soon, lambda: not recorder.queued)


@contextmanager
def streaming(http: httpx.Client) -> Iterator[str]:
    """A stream that has said its first words and says no more: its conversation."""
    with http.stream("POST", "/chat/completions", json=STREAM | {"docduet": {"conversation": "new"}}) as response:
        lines = response.iter_lines()
        first = json.loads(next(line for line in lines if line).removeprefix("data: "))
        assert next(line for line in lines if "Port" in line)
        yield first["docduet"]["conversation"]


def turn_of(http: httpx.Client, conversation: str) -> dict[str, Any]:
    turn: dict[str, Any] = http.get(f"/conversations/{conversation}").json()["turns"][0]
    return turn


def test_a_killed_gateway_loses_no_question(home: Home, store_url: str) -> None:
    text = "Port 7860 is the default. "
    with process(home, store_url, text) as (killed, url), client_of(url) as http, streaming(http) as id:
        killed.kill()
        killed.wait()
    with client(gateway(home, store_url)) as http:
        turn = turn_of(http, id)
        assert (turn["question"], turn["state"], turn["choices"]) == (QUESTION, "unfinished", [])
        assert "interrupted" in http.get(f"/conversations/{id}/export").text
        assert ask(http, conversation=id)["docduet"]["conversation"] == id


def test_two_gateways_on_one_sqlite_file(home: Home, sqlite_url: str) -> None:
    with process(home, sqlite_url) as (_, one), process(home, sqlite_url) as (_, other):
        clients = [client_of(one), client_of(other)]
        id = ask(clients[0], conversation="new")["docduet"]["conversation"]
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda n: ask(clients[n % 2], f"{QUESTION} {n}", conversation=id), range(40)))
        turns = [http.get(f"/conversations/{id}").json()["turns"] for http in clients]
        assert turns[0] == turns[1] or len(turns[0]) == len(turns[1])
        assert {turn["question"] for turn in turns[0]} == {QUESTION, *(f"{QUESTION} {n}" for n in range(40))}
        for http in clients:
            http.close()


def test_a_client_that_leaves(home: Home, store_url: str) -> None:
    engine = Endless("Port 7860 is the default. ")
    with client(gateway(home, store_url, engine)) as http:
        with streaming(http) as id:
            assert turn_of(http, id)["state"] == "unfinished"
        turn = soon(lambda: (turn := turn_of(http, id))["state"] != "unfinished" and turn)
        assert turn["state"] == "cancelled"
        assert turn["choices"][0]["message"]["content"].startswith("Port 7860")
        assert turn["choices"][0]["finish_reason"] is None
    assert engine.closed_early == 1


def test_a_failure_is_kept(tmp_path: Path, store_url: str) -> None:
    with client(gateway(Home(tmp_path / "empty"), store_url)) as http:
        failed = http.post("/chat/completions", json=STREAM | {"docduet": {"conversation": "new"}})
        assert failed.status_code == 503
        (entry,) = http.get("/conversations").json()["data"]
        turn = turn_of(http, entry["id"])
        assert (turn["state"], turn["error"]["code"]) == ("failed", "no_index")


def test_a_conversation_deleted_meanwhile_stays_deleted(home: Home, store_url: str) -> None:
    engine = Endless("Port 7860 is the default. ")
    with client(gateway(home, store_url, engine)) as http:
        with streaming(http) as id:
            http.delete(f"/conversations/{id}")
        soon(lambda: engine.closed_early)
        assert http.get("/report").json()["answers"] == {}
        assert http.get(f"/conversations/{id}").status_code == 404
        metrics = http.get(f"{str(http.base_url).removesuffix('/v1/')}/metrics").text
        assert "docduet_store_failures_total 0.0" in metrics


def test_a_locked_database(home: Home, sqlite_url: str) -> None:
    with client(gateway(home, sqlite_url)) as http:
        id = ask(http, conversation="new")["docduet"]["conversation"]
        lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        answer = ask(http, f"{QUESTION} again", conversation=id)
        assert answer["choices"][0]["message"]["content"]
        lock.execute("ROLLBACK")
        lock.close()
        soon(lambda: len(http.get(f"/conversations/{id}").json()["turns"]) == 2)


def test_a_full_disk(home: Home, small_disk: Path) -> None:
    """The answer comes, /readyz says what is wrong, and it is written once there is room."""
    with client(gateway(home, f"sqlite:///{small_disk}/docduet.sqlite")) as http:
        root = str(http.base_url).removesuffix("/v1/")
        id = ask(http, conversation="new")["docduet"]["conversation"]
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(os.urandom(4096))
            except OSError:
                pass
        long = f"{QUESTION} " + "word " * 3000
        assert ask(http, long, conversation=id)["choices"][0]["message"]["content"]
        state = soon(lambda: (s := httpx.get(f"{root}/readyz").json()["parts"]["store"])["state"] == "failing" and s)
        assert "full" in str(state) or "disk" in str(state)
        ballast.unlink()
        soon(lambda: len(http.get(f"/conversations/{id}").json()["turns"]) == 2)
        assert httpx.get(f"{root}/readyz").json()["parts"]["store"]["state"] == "ready"


@pytest.mark.parametrize("trouble", ["gone", "hanging"])
def test_a_postgresql_that_goes_away(home: Home, database: Database, trouble: str) -> None:
    with client(gateway(home, database.url), user=f"ann-{trouble}") as http:
        id = ask(http, conversation="new")["docduet"]["conversation"]
        setattr(database.relay, trouble, True)
        if trouble == "gone":
            database.relay.cut()
        answer = ask(http, f"{QUESTION} again", conversation=id)
        assert answer["choices"][0]["message"]["content"]
        setattr(database.relay, trouble, False)
        database.relay.cut()
        soon(lambda: len(http.get(f"/conversations/{id}").json().get("turns", [])) == 2)


def an_exchange(**more: Any) -> Exchange:
    return Exchange("rag", Turn(QUESTION), **more)


async def answered(exchange: Exchange) -> Exchange:
    async def choices() -> Choices:
        for event in (Started(QUESTION, False), Text("Words."), Finished("rag")):
            yield 0, event

    async for _ in exchange.follow(choices()):
        pass
    return exchange


@pytest.fixture
def kept(store_url: str) -> Iterator[Callable[[], list[str]]]:
    """The ids of the answers that are in the database."""
    store = Store.open(store_url)

    def ids() -> list[str]:
        with store.reading() as db:
            return sorted(row.answer_id for row in db.query(Choice))

    yield ids
    store.close()


async def test_one_that_cannot_be_kept_takes_no_other_along(store_url: str, kept: Callable[[], list[str]]) -> None:
    lost: list[int] = []
    exchanges = [await answered(an_exchange(id=f"ans_{n}")) for n in range(5)]
    exchanges[2].route = object()  # type: ignore[assignment]
    async with Recorder(Store.open(store_url), lost=lambda: lost.append(1)) as recorder:
        for exchange in [*exchanges, exchanges[0]]:  # the last is there already
            await recorder.end(exchange)
        await recorder.written()
        assert kept() == ["ans_0", "ans_1", "ans_3", "ans_4"]
        assert lost == [1]


async def test_what_an_answer_used_is_kept_also_when_it_was_cut_short(store_url: str) -> None:
    whole, left, unheard = await answered(an_exchange()), an_exchange(cancelled=True), an_exchange(cancelled=True)
    left.answers[0] = Said("As far as it c")
    for exchange in (whole, left, unheard):
        exchange.spent.calls.append(Call(100, 4))
    async with Recorder(store := Store.open(store_url)) as recorder:
        for exchange in (whole, left, unheard):
            await recorder.end(exchange)
        await recorder.written()
        with store.reading() as db:
            used = [db.get_one(Answer, exchange.id).usage for exchange in (whole, left, unheard)]
    assert used == [{"prompt_tokens": 100, "completion_tokens": 4, "total_tokens": 104}] * 3


async def test_what_a_database_says_of_values_is_not_logged(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """PostgreSQL quotes what it does not take; SQLite takes it."""
    exchange = await answered(an_exchange())
    exchange.route = Route(("rag",), scores={"words of the question": float("nan")})
    async with Recorder(Store.open(store_url)) as recorder:
        await recorder.end(exchange)
        await recorder.written()
    assert "words of the question" not in caplog.text
    assert ("is not kept" in caplog.text) == store_url.startswith("postgresql")


async def test_what_is_queued_at_the_end_is_written(store_url: str, kept: Callable[[], list[str]]) -> None:
    exchanges = [await answered(an_exchange()) for _ in range(300)]
    async with Recorder(Store.open(store_url)) as recorder:
        for exchange in exchanges:
            await recorder.end(exchange)
    assert kept() == sorted(exchange.id for exchange in exchanges)


async def test_a_queue_that_is_full(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the database is locked, so many wait; the others are counted as lost."""
    monkeypatch.setattr(module, "MAX_QUEUED", 3)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "LINGER_S", 0.0)  # the writer takes one, and then waits for the lock
    lost: list[int] = []
    store = Store.open(sqlite_url)
    lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    async with Recorder(store, lost=lambda: lost.append(1)) as recorder:
        await recorder.end(await answered(an_exchange()))
        await taken(recorder)  # now the writer waits for the lock
        for _ in range(5):
            await recorder.end(await answered(an_exchange()))
        assert len(lost) == 2
        lock.execute("ROLLBACK")
        lock.close()
        await taken(recorder)
        await recorder.written()
        with store.reading() as db:
            assert db.query(Answer).count() == 4


async def test_what_waits_in_memory_is_bounded(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_CHARS", 2500)
    lost: list[int] = []
    lock = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    async with Recorder(Store.open(sqlite_url), lost=lambda: lost.append(1)) as recorder:
        lock.execute("BEGIN IMMEDIATE")
        for n in range(5):
            exchange = await answered(an_exchange(id=f"ans_{n}"))
            exchange.answers[0].text = "x" * 900
            await recorder.end(exchange)
        assert len(lost) == 3
        lock.close()
        await recorder.written()
        exchange = await answered(an_exchange(id="ans_later"))  # there is room again
        await recorder.end(exchange)
    assert len(lost) == 3
    store = Store.open(sqlite_url)
    with store.reading() as db:
        assert sorted(row.answer_id for row in db.query(Choice)) == ["ans_0", "ans_1", "ans_later"]
    store.close()


def test_long_histories_keep_their_end() -> None:
    said = tuple({"role": "user", "content": f"{n} " + "x" * 5000} for n in range(9))
    row = question_row(Exchange("rag", Turn("q", said)))  # type: ignore[arg-type]
    assert [message["content"][0] for message in row["history"]] == ["6", "7", "8"]
    assert sum(len(message["content"]) for message in row["history"]) <= MAX_HISTORY_CHARS

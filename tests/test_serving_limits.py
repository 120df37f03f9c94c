"""Rates, answers at the same time, the queue in front of them, caps on requests. Clocks are set, never waited for."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.home import Home
from serving.access import keyring, keys
from serving.access import shared as shared_limits
from serving.access.keyring import Keyring
from serving.access.limits import MemoryLimiter
from serving.access.shared import SharedLimiter
from serving.access.slots import Slots
from serving.errors import ApiError
from serving.server import in_background
from serving.store.database import Store
from tests.access_gateway import (
    BODY,
    QUESTION,
    Start,
    bearer,
    forget_keys,
    gateway_app,
    indexed,
    new_key,
    open_store,
    starting,
)
from tests.fake_engine import DONE, GOOD, FakeEngineServer, chunk

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return indexed(tmp_path_factory.mktemp("limits"))


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    with starting(home) as start:
        yield start


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


async def test_a_bucket_refills_and_says_when() -> None:
    now = [0.0]
    limiter = MemoryLimiter(lambda: now[0])
    levels = [await limiter.take("a", 60) for _ in range(61)]
    assert [level.allowed for level in levels] == [True] * 60 + [False]
    assert levels[-1].wait_s == pytest.approx(1.0)
    assert levels[-1].full_s == pytest.approx(60.0)
    now[0] = 0.99
    assert not (await limiter.take("a", 60)).allowed
    now[0] = 1.0
    assert (await limiter.take("a", 60)).allowed
    assert (await limiter.take("b", 60)).left == 59


async def test_tokens_are_taken_afterwards_and_may_fall_below_zero() -> None:
    now = [0.0]
    limiter = MemoryLimiter(lambda: now[0])
    assert (await limiter.take("a", 600, cost=0)).allowed
    assert (await limiter.take("a", 600, cost=1000, need=float("-inf"))).left == -400
    refused = await limiter.take("a", 600, cost=0)
    assert not refused.allowed
    now[0] = refused.wait_s
    assert (await limiter.take("a", 600, cost=0)).allowed


async def test_full_buckets_are_forgotten() -> None:
    now = [0.0]
    limiter = MemoryLimiter(lambda: now[0])
    for n in range(MemoryLimiter._SWEEP_AT):
        await limiter.take(str(n), 60)
    now[0] = 2.0
    await limiter.take("last", 60)
    assert len(limiter._buckets) == 1


async def waiting(slots: Slots, key: str) -> asyncio.Task[None]:
    task = asyncio.create_task(slots.acquire(key))
    await asyncio.sleep(0)
    return task


async def test_the_queue_is_first_come_first_served_and_keys_take_turns() -> None:
    slots = Slots(1, 10, 60)
    await slots.acquire("x")
    tasks = {name: await waiting(slots, name[0]) for name in ("a1", "a2", "a3", "b1", "c1")}
    order: list[str] = []
    while tasks:
        slots.release(1.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done = [name for name, task in tasks.items() if task.done()]
        assert len(done) == 1
        order += done
        del tasks[done[0]]
    assert order == ["a1", "b1", "c1", "a2", "a3"]
    slots.release(1.0)
    assert (slots.running, slots.waiting) == (0, 0)


async def test_the_queue_is_bounded_and_no_key_fills_it_alone() -> None:
    slots = Slots(1, 4, 60)
    await slots.acquire("x")
    tasks = [await waiting(slots, "a"), await waiting(slots, "a")]
    with pytest.raises(ApiError) as greedy:
        await slots.acquire("a")
    tasks += [await waiting(slots, "b"), await waiting(slots, "c")]
    with pytest.raises(ApiError) as full:
        await slots.acquire("d")
    for refused in (greedy.value, full.value):
        assert (refused.status, refused.code) == (503, "overloaded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert slots.waiting == 0


async def test_without_keys_the_whole_queue_is_everybodys() -> None:
    slots = Slots(1, 2, 60)
    await slots.acquire("local", 1.0)
    tasks = [asyncio.create_task(slots.acquire("local", 1.0)) for _ in range(3)]
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, False, True]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_waits_too_long_or_leaves_gives_the_place_back() -> None:
    slots = Slots(1, 4, 0.01)
    await slots.acquire("x")
    with pytest.raises(ApiError, match="could begin"):
        await slots.acquire("a")
    gone = await waiting(slots, "b")
    slots.release(1.0)  # the slot is b's now ...
    gone.cancel()  # ... who leaves in the same moment
    await asyncio.gather(gone, return_exceptions=True)
    assert (slots.running, slots.waiting) == (0, 0)
    await slots.acquire("c")


def test_requests_of_both_header_forms_and_all_routes_fill_one_bucket(start: Start, base: Store) -> None:
    secret = new_key(base, requests_per_minute=4)
    url = start(base, requests_per_minute=1)
    search: Any = {"query": "port"}
    got = [
        httpx.post(url + CHAT, json=BODY, headers=bearer(secret)),
        httpx.post(url + CHAT, json=BODY, headers={"X-API-Key": secret}),
        httpx.post(f"{url}/v1/search", json=search, headers={"api-key": secret}),
        httpx.post(url + CHAT, json={"model": "nonsense"}, headers=bearer(secret)),
        httpx.post(url + CHAT, json=BODY, headers={"X-API-Key": secret}),
        httpx.get(f"{url}/v1/models", headers=bearer(secret)),
    ]
    assert [response.status_code for response in got] == [200, 200, 200, 400, 429, 200]
    assert [response.headers.get("x-ratelimit-remaining-requests") for response in got[:4]] == ["3", "2", "1", "0"]
    assert got[0].headers["x-ratelimit-limit-requests"] == "4"
    assert got[0].headers["x-ratelimit-limit-tokens"] == "400000"
    refused = got[4]
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(refused.headers["retry-after"]) <= 15
    other = new_key(base, "ben")
    assert httpx.post(url + CHAT, json=BODY, headers=bearer(other)).status_code == 200
    assert httpx.post(url + CHAT, json=BODY, headers=bearer(other)).status_code == 429  # the default of [serving]


def test_tokens_are_counted_after_the_answer(start: Start, base: Store) -> None:
    secret = new_key(base, tokens_per_minute=10)  # the scripted engine tells more
    url = start(base)
    assert httpx.post(url + CHAT, json=BODY, headers=bearer(secret)).status_code == 200
    refused = httpx.post(url + CHAT, json=BODY, headers={"X-API-Key": secret})
    assert refused.status_code == 429
    assert "tokens" in refused.json()["error"]["message"]
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    assert httpx.post(f"{url}/v1/search", json={"query": "port"}, headers=bearer(secret)).status_code == 200


def test_without_keys_this_machine_has_a_limit_of_its_own(start: Start) -> None:
    url = start(local_requests_per_minute=2)
    assert [httpx.post(url + CHAT, json=BODY).status_code for _ in range(3)] == [200, 200, 429]


@pytest.fixture
def slow() -> Iterator[Any]:
    """A real engine that begins to answer and then takes its time; told to end by the test."""
    import threading

    loop = asyncio.new_event_loop()
    server = FakeEngineServer(script=(chunk("Hello "), 30.0, chunk("x", finish="stop"), DONE))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
    yield server
    asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)


async def until(happened: Any) -> None:
    """Wait for what another thread does; the test's own timeout is the end of patience."""
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def post(client: httpx.AsyncClient, secret: str = "", stream: bool = False) -> asyncio.Task[httpx.Response]:
    headers = bearer(secret) if secret else {}
    return asyncio.create_task(client.post(CHAT, json=BODY | {"stream": stream}, headers=headers))


@pytest.mark.parametrize("streaming", [True, False])
async def test_who_leaves_ends_the_work_upstream(start: Start, base: Store, slow: Any, streaming: bool) -> None:
    secret = new_key(base, tokens_per_minute=5)
    url = start(base, engine=slow.url)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        asked = post(client, secret, streaming)
        await until(lambda: slow.requests)
        assert slow.disconnected == 0
        asked.cancel()
        await until(lambda: slow.disconnected)
        # What was used before counts: the prompt alone is more than five tokens. Work is settled a moment later.
        await until(lambda: httpx.post(url + CHAT, json={}, headers=bearer(secret)).status_code == 429)
    assert len(slow.requests) == 1


async def test_answers_at_the_same_time_and_leaving_the_queue(start: Start, base: Store, slow: Any) -> None:
    anna, ben = new_key(base, concurrent=2), new_key(base, "ben")
    url = start(base, engine=slow.url, max_answers=2, max_queue=2)
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        running = [post(client, anna), post(client, anna, stream=True)]
        await until(lambda: len(slow.requests) == 2)
        third = await client.post(CHAT, json=BODY, headers=bearer(anna))
        assert (third.status_code, third.json()["error"]["code"]) == (429, "too_many_answers")
        assert int(third.headers["retry-after"]) >= 1
        queued = await queue_up(client, ben)
        refused = await post(client, ben)  # one key has half of the two places
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        queued.cancel()  # ben leaves the queue: the engine never hears of him, and his place is free once more
        again = await queue_up(client, ben)
        running[0].cancel()
        await until(lambda: len(slow.requests) == 3)
        assert slow.disconnected == 1
        again.cancel()
        running[1].cancel()
        await until(lambda: slow.disconnected == 3)
    assert len(slow.requests) == 3


async def queue_up(client: httpx.AsyncClient, secret: str) -> asyncio.Task[httpx.Response]:
    """A request that waits; tried again as long as it is refused at once."""
    while True:
        asked = post(client, secret)
        done, _ = await asyncio.wait({asked}, timeout=0.3)
        if not done:
            return asked


async def test_nothing_is_left_of_clients_that_come_and_go(home: Home, base: Store) -> None:
    """150 clients of three keys, most of whom leave sooner or later: no slot, place or task stays behind."""
    chance = random.Random(7)
    secrets = [new_key(base, name) for name in ("anna", "ben", "cleo")]
    async with FakeEngineServer(script=(chunk("Hello "), 0.02, *GOOD)) as engine:
        app = gateway_app(home, base, engine.url, {"max_answers": 4, "max_queue": 20})
        with in_background(app) as url:
            admission = app.state.gateway.admission
            async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=None)) as client:
                asked = [post(client, chance.choice(secrets), chance.random() < 0.5) for _ in range(150)]
                for task in chance.sample(asked, 110):
                    await asyncio.sleep(chance.random() * 0.01)
                    task.cancel()
                got = await asyncio.gather(*asked, return_exceptions=True)
                await until(lambda: not admission.slots.running)
                last = await client.post(CHAT, json=BODY, headers=bearer(secrets[0]))
            assert last.json()["choices"][0]["message"]["content"].startswith("Hello")
            await until(lambda: not admission.slots.running)
            assert admission.slots.waiting == 0
            assert admission.limiter._running == {}
    answers = [answer for answer in got if isinstance(answer, httpx.Response)]
    assert {answer.status_code for answer in answers} <= {200, 429, 503}
    assert sum(isinstance(answer, asyncio.CancelledError) for answer in got) + len(answers) == 150


async def test_an_answer_under_way_outlives_its_key(
    home: Home, base: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REFRESH_S", 0.0)
    secret = new_key(base)
    async with FakeEngineServer(script=(chunk("Hello "), 0.5, *GOOD)) as engine:
        url = start(base, engine=engine.url)
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            asking = client.stream("POST", CHAT, json=BODY | {"stream": True}, headers=bearer(secret))
            async with asking as response:
                lines = response.aiter_lines()
                await anext(lines)
                with base.writing() as db:
                    keys.revoke(db, "anna")
                assert (await client.post(CHAT, json=BODY, headers=bearer(secret))).status_code == 401
                rest = [line async for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert any("world" in line for line in rest)


@pytest.mark.parametrize(
    ("more", "messages", "code"),
    [
        ({"max_messages": 3}, QUESTION * 4, "too_many_messages"),
        ({"max_prompt_chars": 1000}, [{"role": "system", "content": "x" * 990}, *QUESTION], "prompt_too_long"),
    ],
)
def test_long_conversations_are_refused(start: Start, more: Any, messages: Any, code: str) -> None:
    answer = httpx.post(start(**more) + CHAT, json={"model": "base", "messages": messages})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def raw(url: str, *pieces: bytes) -> bytes:
    """What a connection gives back that sends ``pieces`` and then waits."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_body_that_does_not_come_to_its_end(start: Start) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n"
    answer = await raw(start(body_timeout_s=0.1), head + b"Connection: close\r\n\r\n", b'{"model": ')
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert b"body_too_slow" in answer


@pytest.mark.parametrize("piece", [b"X-Long: " + b"x" * 66_000, b"X: y\r\n" * 11_000])
async def test_headers_that_are_too_large(start: Start, piece: bytes) -> None:
    answer = await raw(start(), b"GET /healthz HTTP/1.1\r\nHost: x\r\n", piece)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_too_large"


ANOTHER = """
import asyncio, sys
from serving.access.shared import SharedLimiter
from serving.store.database import Store

async def main():
    limiter = SharedLimiter.open(Store.open(sys.argv[1]), lambda: 60)
    print("ready", flush=True)
    sys.stdin.readline()
    taken = sum([(await limiter.take("a", 100)).allowed for _ in range(80)])
    entered = sum([bool(await limiter.enter("a", 5)) for _ in range(5)])
    print(taken, entered, flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def say(other: Any, line: str) -> None:
    other.stdin.write(line)
    other.stdin.flush()


def test_two_processes_share_their_limits_in_postgresql(database: Any) -> None:
    piped: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    others: list[Any] = [subprocess.Popen([sys.executable, "-c", ANOTHER, database.url], **piped) for _ in range(2)]
    try:
        assert [other.stdout.readline() for other in others] == ["ready\n"] * 2
        began = time.monotonic()
        for other in others:
            say(other, "go\n")
        counted = [[int(n) for n in other.stdout.readline().split()] for other in others]
        came_back = (time.monotonic() - began) * 100 / 60
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert 100 <= sum(taken for taken, _ in counted) <= 101 + came_back
    assert sum(entered for _, entered in counted) == 5


def test_two_gateways_share_their_limits_in_postgresql(start: Start, database: Any) -> None:
    store = Store.open(database.url)
    secret = new_key(store, requests_per_minute=3)
    one, two = start(store), start(store)
    got = [httpx.post(url + CHAT, json=BODY, headers=bearer(secret)).status_code for url in (one, two, one, two, one)]
    assert got == [200, 200, 200, 429, 429]
    forget_keys(store)
    store.close()


async def test_a_database_that_hangs_holds_nobody_up(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shared_limits, keyring):
        monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    now = [0.0]
    store = Store.open(database.url)
    limiter, ring, secret = SharedLimiter.open(store, lambda: 60), Keyring(store, lambda: now[0]), new_key(store)
    assert await ring.find(secret)
    now[0] = 10.0
    database.relay.hanging = True
    try:
        assert (await limiter.take("hung", 60)).left == 59
        assert (await limiter.take("hung", 60)).left == pytest.approx(58, abs=0.5)
        assert await limiter.enter("hung", 1) == "alone"
        assert await ring.find(secret)
    finally:
        database.relay.hanging = False
        database.relay.cut()
    now[0] = 20.0
    assert await ring.find(secret)
    forget_keys(store)
    store.close()


async def test_limits_in_postgresql_are_those_in_memory(database: Any) -> None:
    store = Store.open(database.url)
    shared = SharedLimiter.open(store, lambda: 60)
    memory = MemoryLimiter(lambda: 0.0)
    steps: list[tuple[int, float, float]] = [(6, 1, 1)] * 7 + [(6, 0, 1), (6, 100, float("-inf")), (6, 0, 1)]
    for step in steps:
        ours, theirs = await shared.take("same", *step), await memory.take("same", *step)
        assert ours.allowed == theirs.allowed
        assert ours.left == pytest.approx(theirs.left, abs=1.0)
        assert ours.wait_s == pytest.approx(theirs.wait_s, abs=10.0)
    for _ in range(2):
        first, second, third = [await shared.enter("k", 2) for _ in range(3)]
        assert (bool(first), bool(second), third) == (True, True, "")
        await shared.leave("k", second)
        await shared.leave("k", first)
    dead = SharedLimiter.open(store, lambda: -1.0)  # answers of a gateway that has died long ago
    assert await dead.enter("k", 1)
    assert await shared.enter("k", 1)
    database.relay.gone = True
    database.relay.cut()
    assert (await shared.take("alone", 60)).left == 59
    ticket = await shared.enter("z", 1)
    assert ticket
    assert not await shared.enter("z", 1)
    database.relay.gone = False
    await shared.leave("z", ticket)
    assert await shared.enter("z", 1)
    store.close()


async def test_a_form_that_does_not_end_is_not_read_to_its_end(start: Start, base: Store) -> None:
    """Everybody may send one, without a key."""
    new_key(base)
    head = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await raw(start(base), head, b"2328\r\n" + b"x" * 9000 + b"\r\n")
    assert b" 413 " in answer.split(b"\r\n")[0]


async def test_bodies_for_the_chat_app_are_limited_too(start: Start) -> None:
    head = b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n"
    answer = await raw(start(max_body_mb=0.01), head)
    assert b" 413 " in answer.split(b"\r\n")[0]

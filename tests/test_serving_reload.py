"""docduet.toml read again while questions are answered: real files, a real supervisor, real HTTP engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import text

from data.config import DataConfig
from data.home import Home
from data.settings import Settings
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.access.shared import limiter_of
from serving.app import create_app
from serving.config import ServingConfig
from serving.engines.supervisor import Supervisor
from serving.engines.watched import Policy
from serving.gateway import Gateway
from serving.ops.reload import RELOADABLE, Reloader
from serving.store.database import Store
from tests.fake_engine import DONE, USAGE, FakeEngineServer, chunk
from tests.postgres_server import Database
from tests.serve_process import in_thread, until

TABLES: dict[str, type[BaseModel]] = {"data": DataConfig, "rag": RagConfig, "serving": ServingConfig}
PAGES = [Page(f"{n}.md", f"Port {n}", f"# Port {n}\n\nThe gateway listens on port 786{n}.\n") for n in range(5)]


@dataclass
class Setup:
    file: Path
    client: httpx.AsyncClient
    gateway: Gateway

    async def reload(self, text: str) -> dict[str, Any]:
        self.file.write_text(text, encoding="utf-8")
        found: dict[str, Any] = (await self.client.post("/v1/admin/reload")).json()
        return found

    async def ask(self, model: str = "base") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "Which port does the gateway listen on?"}]}
        return await self.client.post("/v1/chat/completions", json=body)


def engines(*servers: tuple[str, FakeEngineServer]) -> str:
    return "".join(f'[[serving.engines]]\nname = "{name}"\nbase_url = "{server.url}"\n' for name, server in servers)


def says(text: str) -> tuple[bytes | float | None, ...]:
    return (chunk(text), 0.3, chunk(finish="stop"), USAGE, DONE)


@pytest.fixture
async def one() -> AsyncIterator[FakeEngineServer]:
    async with FakeEngineServer(script=says("one")) as server:
        yield server


@pytest.fixture
async def two() -> AsyncIterator[FakeEngineServer]:
    async with FakeEngineServer(script=says("two")) as server:
        yield server


@pytest.fixture
async def setup(tmp_path: Path, one: FakeEngineServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    """A gateway over engine ``one``."""
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("serving.ops.logs.configure", lambda _: None)  # pytest's own handlers stay
    file = tmp_path / "docduet.toml"
    file.write_text(engines(("base", one)), encoding="utf-8")
    settings = Settings(TABLES, file)
    build_index(PAGES, Home(tmp_path / "home"), RagConfig())
    config, live = settings.table(ServingConfig), LiveIndex(settings.home, settings.table(RagConfig))
    policy = Policy(poll_s=0.05, linger_s=0.1)
    app = create_app(config, Supervisor(config.engines, settings.home.logs, policy=policy), live)
    gateway: Gateway = app.state.gateway
    gateway.reloader = Reloader(gateway, settings.tables(), lambda: settings.again().tables())
    async with in_thread(app) as client:
        yield Setup(file, client, gateway)


async def test_what_can_change_does_and_what_cannot_is_named(setup: Setup, one: FakeEngineServer) -> None:
    search = {"query": "gateway port"}
    assert len((await setup.client.post("/v1/search", json=search)).json()["data"]) == 5
    found = await setup.reload(
        '[data]\nbase_url = "https://x"\nrefresh = "6h"\n[rag]\ntop_k = 2\nchunk_tokens = 100\n'
        '[serving]\nmax_tokens = 7\nport = 1\nhost = "::1"\n' + engines(("base", one))
    )
    assert found == {
        "changed": ["rag.top_k", "serving.max_tokens"],
        "needs_restart": ["data.refresh", "rag.chunk_tokens", "serving.host", "serving.port"],
        "engines": {},
    }
    assert len((await setup.client.post("/v1/search", json=search)).json()["data"]) == 2
    await setup.ask()
    assert one.requests[-1]["max_tokens"] == 7
    again = await setup.reload(setup.file.read_text())
    assert (again["changed"], len(again["needs_restart"])) == ([], 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serving\n", "not valid TOML"),
        ("[serving]\nmax_tokens = 0\n", "serving.max_tokens"),
        ("[serving]\nmax_token = 9\n", "did you mean 'max_tokens'"),
        ('[[serving.engines]]\nbase_url = "http://a/v1"\n[[serving.engines]]\nbase_url = "http://b/v1"\n', "same name"),
        ('[serving]\nmax_tokens = 7\n[rag]\nreranker = "/no/such/folder"\n', "reranker '/no/such/folder' cannot be"),
    ],
)
async def test_a_wrong_file_changes_nothing(setup: Setup, one: FakeEngineServer, text: str, said: str) -> None:
    await setup.ask()
    error = (await setup.reload(text))["error"]
    assert error["code"] == "config_invalid"
    assert said in error["message"]
    assert (await setup.ask()).json()["choices"][0]["message"]["content"] == "one"
    assert one.requests[-1]["max_tokens"] == 1024
    assert (await setup.client.post("/v1/search", json={"query": "gateway port"})).status_code == 200


async def test_engines_come_and_go_without_a_failed_request(
    setup: Setup, one: FakeEngineServer, two: FakeEngineServer
) -> None:
    """A stream of questions goes on while the engine is changed, one is added, and it is removed."""
    answers: list[httpx.Response] = []
    stop = asyncio.Event()

    async def keep_asking() -> None:
        while not stop.is_set():
            answers.append(await setup.ask())

    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    await until(lambda: len(answers) >= 4)
    assert (await setup.reload(engines(("base", two), ("spare", one))))["engines"] == {
        "base": "changed",
        "spare": "added",
    }
    await until(lambda: settled(setup))
    before = len(answers)
    await until(lambda: len(answers) >= before + 8)
    stop.set()
    await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    texts = [answer.json()["choices"][0]["message"]["content"] for answer in answers]
    assert {texts[0], texts[-1]} == {"one", "two"}
    await until(lambda: engine_states(setup, {"base": "external", "spare": "external"}))
    await setup.reload("")
    await until(lambda: settled(setup))
    assert (await setup.client.get("/v1/admin/engines")).json()["data"] == []
    assert [model["id"] for model in (await setup.client.get("/v1/models")).json()["data"]] == ["auto", "rag"]
    assert (await setup.ask("rag")).json()["choices"][0]["docduet"]["degraded"] == "no engine"
    await setup.reload(engines(("base", one)))
    await until(lambda: engine_states(setup, {"base": "external"}))
    assert (await setup.ask()).json()["choices"][0]["message"]["content"] == "one"


async def test_an_engine_that_does_not_answer_does_not_take_over(setup: Setup, two: FakeEngineServer) -> None:
    await setup.reload('[[serving.engines]]\nname = "base"\nbase_url = "http://127.0.0.1:9/v1"\n')
    await until(lambda: settled(setup))
    listed = (await setup.client.get("/v1/admin/engines")).json()["data"][0]
    assert listed["state"] == "external"
    assert "unreachable: http://127.0.0.1:9/v1" in listed["problem"]
    assert (await setup.ask()).json()["choices"][0]["message"]["content"] == "one"
    assert (await setup.reload(setup.file.read_text()))["engines"] == {"base": "changed"}  # tried again
    await until(lambda: settled(setup))
    await setup.reload(engines(("base", two)))
    await until(lambda: settled(setup))
    assert (await setup.ask()).json()["choices"][0]["message"]["content"] == "two"


async def test_an_engine_whose_name_is_taken_stays_out(
    setup: Setup, one: FakeEngineServer, two: FakeEngineServer
) -> None:
    """As that of the published checkpoint may be, which stands in no file."""
    watched = setup.gateway.supervisor._watched
    watched["sft"] = watched["base"]
    assert (await setup.reload(engines(("base", one), ("sft", two))))["engines"] == {"sft": "added"}
    await until(lambda: settled(setup))
    assert setup.gateway.reloader
    assert "two engines" in setup.gateway.reloader.problems["sft"]
    assert [engine.name for engine in setup.gateway.config.engines] == ["base"]
    assert "sft" not in setup.gateway.fixed
    assert (await setup.reload(engines(("base", one))))["engines"] == {}
    del watched["sft"]


async def test_an_answer_counts_among_several_gateways_for_as_long_as_the_file_says(
    setup: Setup, one: FakeEngineServer, database: Database
) -> None:
    store = Store.open(database.url)
    limiter, left = limiter_of(store, setup.gateway.config), []
    for answer_timeout_s in (100, 50):
        await setup.reload(
            f"[serving]\nanswer_timeout_s = {answer_timeout_s}\nqueue_wait_s = 7\n{engines(('base', one))}"
        )
        ticket = await limiter.enter("k", 1)
        until = text(
            "SELECT until - extract(epoch FROM clock_timestamp())::float8 FROM running_answers WHERE key = 'k'"
        )
        left.append(await store.run(lambda db, until=until: db.execute(until).scalar_one()))
        await limiter.leave("k", ticket)
    store.close()
    assert left == [pytest.approx(207, abs=5), pytest.approx(107, abs=5)]


def test_reloadable_keys_are_settings() -> None:
    for table, keys in RELOADABLE.items():
        assert keys <= set(TABLES[table].model_fields), table


def settled(setup: Setup) -> bool:
    reloader = setup.gateway.reloader
    assert reloader
    return reloader.settled


async def engine_states(setup: Setup, wanted: dict[str, str]) -> bool:
    data = (await setup.client.get("/v1/admin/engines")).json()["data"]
    return {engine["name"]: engine["state"] for engine in data} == wanted

"""/v1/admin over HTTP: a real home, real syncs as child processes, real engine processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.config import DataConfig
from data.home import Home
from data.store import PageStore
from data.sync import sync_source
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.access import keys
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Policy, Supervisor
from serving.engines.vllm import Launch
from serving.gateway import Gateway
from serving.ops.gaps import Asked, grouped
from serving.principal import Role
from serving.refresh import Plan, Refresher
from tests.serve_process import in_thread, until

ENGINE = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "own"}]}).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ROUTES = [
    ("GET", "/v1/admin/sources"),
    ("POST", "/v1/admin/sync"),
    ("GET", "/v1/admin/generations"),
    ("POST", "/v1/admin/rollback"),
    ("GET", "/v1/admin/engines"),
    ("POST", "/v1/admin/engines/{name}/restart"),
    ("GET", "/v1/admin/gaps"),
    ("GET", "/v1/admin/pages/{page_id}/chunks"),
    ("POST", "/v1/admin/reload"),
    ("GET", "/v1/admin/feedback"),
    ("POST", "/v1/admin/feedback/{answer_id}/promote"),
    ("POST", "/v1/admin/feedback/{answer_id}/reject"),
]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "port.md").write_text("# Ports\n\n## Default\n\nThe gateway listens on port 1111.\n\n## More\n\nNothing.\n")
    return docs


@pytest.fixture
async def client(tmp_path: Path, docs: Path) -> AsyncIterator[httpx.AsyncClient]:
    home = Home(tmp_path / "home")
    store = PageStore(home.pages)
    sync_source(str(docs), store, DataConfig())
    build_index(store.pages(), home, RagConfig())
    config = ServingConfig(
        engines=(
            EngineConfig(name="own", model="m"),
            EngineConfig(name="other", base_url="http://127.0.0.1:9/v1"),
        )
    )
    argv = (sys.executable, "-m", "docduet", "sync", "--json", str(docs))
    plan = Plan(0, argv, home.refresh, home.logs / "refresh.log", {"DOCDUET_HOME": str(home.root)})
    live = LiveIndex(home, RagConfig())

    def launch(_: EngineConfig, port: int) -> Launch:
        return Launch((sys.executable, "-S", "-c", ENGINE, str(port)), {})

    supervisor = Supervisor(config.engines, home.logs, launch, Policy(poll_s=0.05, backoff_s=0.05, polite_s=1.0))
    app = create_app(config, supervisor, live, Refresher(plan, live))
    async with in_thread(app) as client:
        client.gateway = app.state.gateway  # type: ignore[attr-defined]
        yield client


def gateway_behind(client: httpx.AsyncClient) -> Gateway:
    gateway: Gateway = client.gateway  # type: ignore[attr-defined]
    return gateway


async def get(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = await client.get(f"/v1/admin/{path}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.timeout(240)
async def test_sources_sync_and_generations(client: httpx.AsyncClient, docs: Path) -> None:
    """Sync from the API, 409 meanwhile, a new generation, and back to the old one."""
    before = await get(client, "sources")
    (source,) = before["data"]
    assert (source["source"], source["pages"]) == (str(docs), 1)
    assert source["changed_at"] <= source["synced_at"]
    assert before["sync"] == {"state": "off", "every_s": 0, "next_at": None, "last": None}
    (first,) = (await get(client, "generations"))["data"]
    assert first["live"]

    (docs / "more.md").write_text("# More ports\n\nThe metrics listen on port 2222.\n")
    started = await client.post("/v1/admin/sync")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    again = await client.post("/v1/admin/sync")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "sync_running")

    async def done() -> bool:
        return (await get(client, "sources"))["sync"]["last"] is not None

    await until(done)
    after = await get(client, "sources")
    assert (after["sync"]["last"]["added"], after["sync"]["last"]["error"], after["sync"]["state"]) == (1, "", "off")
    assert after["data"][0]["pages"] == 2
    assert after["data"][0]["synced_at"] > source["synced_at"]

    old, new = (await get(client, "generations"))["data"]
    assert (old["live"], new["live"], new["pages"]) == (False, True, 2)
    unknown = await client.post("/v1/admin/rollback", json={"to": "nothing"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "generation_not_found")
    assert (await client.post("/v1/admin/rollback")).json()["id"] == old["id"]
    assert (await client.get("/readyz")).json()["parts"]["index"]["generation"] == old["id"]
    assert (await client.post("/v1/admin/rollback", json={"to": new["id"]})).json()["live"]


async def test_a_page_s_chunks(client: httpx.AsyncClient) -> None:
    found = (await client.post("/v1/search", json={"query": "gateway port"})).json()["data"][0]
    page = await get(client, f"pages/{found['page_id']}/chunks")
    assert (page["url"], page["title"]) == ("port.md", "Ports")
    retriever = gateway_behind(client).live.retriever()
    body = retriever.page(found["page_id"])
    assert body
    assert [chunk["text"] for chunk in page["data"]] == [body.body[c["start"] : c["end"]] for c in page["data"]]
    assert found["text"] in {chunk["text"] for chunk in page["data"]}
    assert page["data"][0]["heading_path"] == found["heading_path"]
    missing = await client.get("/v1/admin/pages/0123456789abcdef/chunks")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "page_not_found")


async def test_engines_and_a_restart(client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return (await get(client, "engines"))["data"][0]["state"] == "ready"

    await until(ready)
    own, other = (await get(client, "engines"))["data"]
    assert (own["name"], own["restarts"], own["active"]) == ("own", 0, 0)
    assert (other["name"], other["state"]) == ("other", "unreachable")
    down = {entry["part"]: entry["reason"] for entry in (await client.get("/readyz")).json()["down"]}
    assert down == {"engines.other": "unreachable: http://127.0.0.1:9/v1"}
    restarted = await client.post("/v1/admin/engines/own/restart")
    assert (restarted.status_code, restarted.json()["restarts"]) == (202, 1)
    await until(ready)
    elsewhere = await client.post("/v1/admin/engines/other/restart")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (409, "engine_external")
    unknown = await client.post("/v1/admin/engines/nobody/restart")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "engine_not_found")


async def test_gaps_are_what_was_refused_or_disliked(client: httpx.AsyncClient) -> None:
    """Real answers, kept by the store; the thumb through the API."""

    async def ask(question: str) -> dict[str, Any]:
        body = {"model": "rag", "messages": [{"role": "user", "content": question}]}
        found: dict[str, Any] = (await client.post("/v1/chat/completions", json=body)).json()
        return found

    await ask("How do I cook spaghetti?")
    await ask("How do I cook the spaghetti?")
    answer = await ask("Which port does the gateway listen on?")
    thumb = {"answer_id": answer["docduet"]["answer_id"], "rating": "down"}
    assert (await client.post("/v1/feedback", json=thumb)).status_code < 300
    await ask("What does the gateway's port listen for?")

    async def kept() -> bool:
        return sum(gap["count"] for gap in (await get(client, "gaps"))["data"]) >= 3

    await until(kept)
    newest, cooking = (await get(client, "gaps"))["data"]
    assert (newest["question"], newest["refused"], newest["thumbs_down"]) == (
        "Which port does the gateway listen on?",
        0,
        1,
    )
    assert newest["answer_ids"] == [thumb["answer_id"]]
    assert (cooking["question"], cooking["count"], cooking["refused"]) == ("How do I cook the spaghetti?", 2, 2)
    assert cooking["wordings"] == ["How do I cook the spaghetti?", "How do I cook spaghetti?"]
    assert (await get(client, "gaps?limit=1"))["data"] == [newest]


def test_alike_questions_are_one_gap() -> None:
    first = Asked("ans_1", "怎么修改端口？", 3.0, True, False)
    asked = [
        first,
        replace(first, answer_id="ans_2", question="How do I change the port?", at=2.0),
        replace(first, answer_id="ans_3", question="怎么修改端口", at=1.0, refused=False, down=True),
        replace(first, answer_id="ans_4", question="???", at=0.5),
        replace(first, answer_id="ans_5", question="???", at=0.4),
    ]
    groups = grouped(asked)
    assert [(gap.question, gap.count, gap.refused, gap.thumbs_down) for gap in groups] == [
        ("怎么修改端口？", 2, 1, 1),
        ("How do I change the port?", 1, 1, 0),
        ("???", 2, 2, 0),
    ]


async def test_admins_only_and_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/v1/openapi.json")).json()
    paths = {
        (method.upper(), path)
        for path, methods in described["paths"].items()
        for method in methods
        if path.startswith("/v1/admin/")
    }
    assert paths == set(ROUTES)
    for method, path in ROUTES:
        ok = next(
            reply for code, reply in described["paths"][path][method.lower()]["responses"].items() if code < "300"
        )
        assert "$ref" in ok["content"]["application/json"]["schema"], path
    store = gateway_behind(client).store
    roles: tuple[Role, ...] = ("staff", "service", "admin")
    for role in roles:
        _, secret = await store.run(keys.create, role, role)
        statuses, headers = [], {"Authorization": f"Bearer {secret}"}
        await until(lambda headers=headers: known(client, headers))
        for method, path in ROUTES:
            answer = await client.request(method, path.replace("{name}", "other"), headers=headers)
            statuses.append(answer.status_code)
            if role != "admin":
                error = answer.json()["error"]
                assert (error["code"], error["type"]) == ("admins_only", "permission_error"), path
        assert (set(statuses) == {403}) == (role != "admin"), statuses
        assert (403 in statuses) == (role != "admin"), statuses
    assert (await client.get("/v1/admin/engines")).status_code == 401


async def known(client: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    """Whether the gateway has noticed the new key; before the first one it asks for none."""
    without = (await client.get("/v1/models")).status_code
    return without == 401 and (await client.get("/v1/models", headers=headers)).status_code == 200

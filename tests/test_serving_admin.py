"""/v1/admin over HTTP: a real home, real syncs as child processes, real engine processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
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
from rag.embed import load_embedder
from rag.live import LiveIndex
from serving.access import keys
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from serving.engines.vllm import Launch
from serving.engines.watched import Policy
from serving.gateway import Gateway
from serving.ops.gaps import Asked, grouped, low_support
from serving.ops.topics import Topic, topics
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
    ("GET", "/v1/admin/voices"),
    ("GET", "/v1/admin/gaps"),
    ("GET", "/v1/admin/answers/{answer_id}"),
    ("GET", "/v1/admin/pages"),
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
    assert before["sync"] == {"state": "off", "every_s": 0, "next_at": None, "progress": None, "last": None}
    (first,) = (await get(client, "generations"))["data"]
    assert first["live"]
    assert first["bytes"] > 10_000

    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 no document")
    (docs / "more.md").write_text("# More ports\n\nThe metrics listen on port 2222.\n")
    started = await client.post("/v1/admin/sync")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    again = await client.post("/v1/admin/sync")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "sync_running")

    stages: list[tuple[str, int, int]] = []

    async def done() -> bool:
        sync = (await get(client, "sources"))["sync"]
        if told := sync["progress"]:
            assert told["source"] == (str(docs) if told["stage"] == "read" else "")
            stages.append((told["stage"], told["done"], told["total"]))
        return sync["last"] is not None

    await until(done)
    after = await get(client, "sources")
    assert (after["sync"]["last"]["added"], after["sync"]["last"]["error"], after["sync"]["state"]) == (1, "", "off")
    assert stages
    assert {stage for stage, _, _ in stages} <= {"read", "chunk", "embed", "write"}
    assert (after["sync"]["progress"], after["data"][0]["pages"]) == (None, 2)
    (result,) = after["sync"]["last"]["sources"]
    assert (result["source"], result["added"], result["unchanged"], result["error"]) == (str(docs), 1, 1, "")
    assert (result["warned"], result["warnings"][0].partition(":")[0]) == (1, "broken.pdf")
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
    assert (page["body"], page["lang"]) == (body.body, "en")
    assert all(chunk["tokens"] > 0 for chunk in page["data"])
    for words, total in (("", 1), ("ports", 1), ("PORT .md", 1), ("port nothing", 0), ("%", 0), ("_", 0)):
        listed = (await client.get("/v1/admin/pages", params={"q": words})).json()
        assert (listed["total"], len(listed["data"])) == (total, total), words
    assert (await get(client, "pages"))["data"][0]["chunks"] == len(page["data"])
    assert (await get(client, "pages?offset=1"))["data"] == []
    missing = await client.get("/v1/admin/pages/0123456789abcdef/chunks")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "page_not_found")


async def test_engines_and_a_restart(client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return (await get(client, "engines"))["data"][0]["state"] == "ready"

    await until(ready)
    own, other = (await get(client, "engines"))["data"]
    assert (own["name"], own["restarts"], own["active"]) == ("own", 0, 0)
    assert (own["model"], own["ours"], own["trouble"], other["ours"]) == ("m", True, "", False)
    assert other["trouble"]
    voices = await get(client, "voices")
    told = {voice["name"]: (voice["state"], voice["reason"]) for voice in voices["data"]}
    assert told["rag"] == ("quoting", "no_engine")  # it writes with an engine called base
    assert told["sft"] == told["sft-rag"] == ("missing", "no_checkpoint")
    assert (told["auto"][0], told["compare"][0], voices["checkpoint"]) == ("ready", "missing", None)
    assert (other["name"], other["state"]) == ("other", "unreachable")
    down = {entry["part"]: entry["reason"] for entry in (await client.get("/readyz")).json()["down"]}
    assert down == {"engines.other": "unreachable: http://127.0.0.1:9/v1"}
    restarted = await client.post("/v1/admin/engines/own/restart")
    assert (restarted.status_code, restarted.json()["restarts"]) == (202, 1)
    await until(ready)
    again = (await get(client, "engines"))["data"][0]
    assert (again["restarts"], again["trouble"]) == (1, "")  # that was no trouble
    elsewhere = await client.post("/v1/admin/engines/other/restart")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (409, "engine_external")
    unknown = await client.post("/v1/admin/engines/nobody/restart")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "engine_not_found")


async def test_gaps_are_what_was_refused_or_disliked(client: httpx.AsyncClient) -> None:
    """Real answers, kept by the store; the thumb through the API."""

    async def ask(question: str) -> str:
        body = {"model": "rag", "messages": [{"role": "user", "content": question}]}
        found = (await client.post("/v1/chat/completions", json=body)).json()
        return str(found["docduet"]["answer_id"])

    first = await ask("How do I cook spaghetti?")
    await ask("How long do I cook the spaghetti for?")
    disliked = await ask("Which port does the gateway listen on?")
    thumb = {"answer_id": disliked, "rating": "down", "comment": "which protocol?"}
    assert (await client.post("/v1/feedback", json=thumb)).status_code < 300
    fine = await ask("What does the gateway's port listen for?")

    async def kept() -> bool:
        gateway_behind(client).gaps._made.clear()  # a report is kept for a while
        return (await get(client, "gaps"))["asked"] == 4

    await until(kept)
    report = await get(client, "gaps?days=7")
    assert (report["troubled"], report["groups"], report["more"]) == (3, 2, False)
    cooking, port = report["data"]
    assert (cooking["count"], cooking["kinds"]["refused"], cooking["share"]) == (2, 2, 0.6667)
    assert {"cook", "spaghetti"} <= set(cooking["words"])
    assert [sample["question"] for sample in cooking["samples"]] == [
        "How long do I cook the spaghetti for?",
        "How do I cook spaghetti?",
    ]
    assert first in cooking["answer_ids"]
    assert (port["question"], port["kinds"]["thumbs_down"], port["kinds"]["refused"]) == (
        "Which port does the gateway listen on?",
        1,
        0,
    )
    assert (await get(client, "gaps?days=7&limit=1"))["data"] == [cooking]

    file = await client.get("/v1/admin/gaps", params={"days": 7, "format": "csv"})
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    assert [line.split(",")[2] for line in file.text.splitlines()] == ["questions", "2", "1"]
    answer = await get(client, f"answers/{disliked}")
    assert (answer["question"], answer["kinds"]) == ("Which port does the gateway listen on?", ["thumbs_down"])
    assert "1111" in answer["choices"][0]["text"]
    assert answer["choices"][0]["comment"] == "which protocol?"
    assert "owner" not in answer
    for other in (fine, "ans_nobody"):  # what nothing is wrong with is nobody else's business
        assert (await client.get(f"/v1/admin/answers/{other}")).status_code == 404


async def test_how_a_search_went(client: httpx.AsyncClient) -> None:
    body = {"query": "Which port does the gateway listen on?", "explain": True}
    found = (await client.post("/v1/search", json=body)).json()
    told, best = found["explain"], found["data"][0]["why"]
    assert (told["answerable"], told["score"] >= told["threshold"], told["reranker"]) == (True, True, "")
    assert {"lexical", "dense", "fuse", "judge", "total"} == set(told["timings_ms"])
    assert (best["bm25_rank"], best["dense_rank"], best["fused_rank"], best["rerank_score"]) == (1, 1, 1, None)
    assert best["fused_score"] == found["data"][0]["score"]
    refused = (await client.post("/v1/search", json=body | {"query": "How do I cook spaghetti?"})).json()["explain"]
    assert not refused["answerable"]
    assert "spaghetti" in refused["reason"]
    assert "explain" not in (await client.post("/v1/search", json={"query": "port"})).json()


def test_gaps_count_every_trouble_and_each_wording_once() -> None:
    asked = [
        Asked("ans_1", "How do I change the port?", 5.0, ("refused", "thumbs_down")),
        Asked("ans_2", "how do i  change the port?", 4.0, ("both_bad",)),
        Asked("ans_3", "Change the port", 3.0, ("unsupported",)),
        Asked("ans_4", "???", 2.0, ("refused",)),
    ]
    port, other = grouped(asked, [Topic((1, 0), ("port",)), Topic((2,), ())])
    assert (port.question, port.count, port.share, port.last_at) == ("Change the port", 3, 0.75, 5.0)
    assert port.kinds == {"refused": 1, "thumbs_down": 1, "both_bad": 1, "unsupported": 1}
    assert [sample.answer_id for sample in port.samples] == ["ans_1", "ans_3"]
    assert port.answer_ids == ("ans_1", "ans_2", "ans_3")
    assert (other.count, other.words) == (1, ())
    assert low_support({"support": [{"page_id": ""}, {"page_id": ""}, {"page_id": "x"}]})
    assert not low_support({"support": [{"page_id": ""}, {"page_id": "x"}]})
    assert not low_support({"support": None})
    assert not low_support({})


def test_topics_by_meaning_and_where_that_is_not_known_by_words() -> None:
    """The bundled embedder knows English alone: Chinese questions are told apart by their words."""
    texts = [
        "Is there an app for my iPhone?",
        "How long does a refund take?",
        "How long will the refund take to arrive?",
        "iPhone app download",
        "手机应用能离线使用吗",
        "怎么申请退款？",
        "申请退款怎么写？",
        "???",
    ]
    found = topics(texts, [text.isascii() for text in texts], load_embedder("minilm").documents)
    together = {frozenset(topic.members) for topic in found}
    assert {frozenset({0, 3}), frozenset({1, 2}), frozenset({5, 6}), frozenset({4}), frozenset({7})} == together
    words = {frozenset(topic.members): topic.words for topic in found}
    assert "退款" in words[frozenset({5, 6})]
    assert {"iPhone", "app"} & set(words[frozenset({0, 3})])
    assert topics([], [], load_embedder("minilm").documents) == []


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

"""The administrators' panel on the real gateway, over the bundled handbook and a real index; real syncs, real Chromium.

DOCDUET_SHOTS=FOLDER keeps the screenshots.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.config import DataConfig
from data.handbook import FOLDER
from data.home import Home
from data.store import PageStore
from data.sync import sync_source
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.access import keys
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.engines.supervisor import Supervisor
from serving.engines.vllm import Launch
from serving.engines.watched import Policy
from serving.refresh import Plan, Refresher
from serving.store.database import Store
from tests.e2e.chromium import MARKS, shoot
from tests.fake_gateway import in_thread
from tests.test_serving_admin import ENGINE
from ui.app import mount
from ui.config import UiConfig

pytestmark = [*MARKS, pytest.mark.timeout(300)]

SPAGHETTI = ("How do I cook spaghetti?", "How long do I cook spaghetti for?", "Cook spaghetti with salt?")


@dataclass
class Site:
    """A running gateway over a copy of the handbook's English pages."""

    url: str
    docs: Path
    store: Store
    keys: dict[str, str]

    def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.keys['boss']}"}
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=60).json()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("admin")
    home, docs = Home(root / "home"), root / "docs"
    shutil.copytree(FOLDER / "en", docs)
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 this is no document")
    pages = PageStore(home.pages)
    sync_source(str(docs), pages, DataConfig())
    build_index(pages.pages(), home, RagConfig())
    config = ServingConfig(
        require_keys="always",
        engines=(EngineConfig(name="base", model="tiny"), EngineConfig(name="far", base_url="http://127.0.0.1:9/v1")),
    )
    argv = (sys.executable, "-m", "docduet", "sync", "--json", str(docs))
    plan = Plan(0, argv, home.refresh, home.logs / "refresh.log", {"DOCDUET_HOME": str(home.root)})
    live = LiveIndex(home, RagConfig())

    def launch(_: EngineConfig, port: int) -> Launch:
        return Launch((sys.executable, "-S", "-c", ENGINE.replace('"own"', '"base"'), str(port)), {})

    supervisor = Supervisor(config.engines, home.logs, launch, Policy(poll_s=0.1, backoff_s=0.1, polite_s=1.0))
    store = Store.open(f"sqlite:///{home.database}")
    secrets = {
        name: asyncio.run(store.run(keys.create, name, role))[1] for name, role in (("boss", "admin"), ("ann", "staff"))
    }
    app = create_app(config, supervisor, live, Refresher(plan, live))
    with in_thread(lambda url: mount(app, url, UiConfig())) as url:
        yield Site(url, docs, store, secrets)
    store.close()


@pytest.fixture
def opened(browser: Any, site: Site) -> Iterator[Any]:
    """Opens a section as somebody; afterwards no page may have met an error or asked another origin for anything."""
    contexts, errors, requests = [], [], []

    def opened(section: str, who: str = "boss", lang: str = "en-US", width: int = 1280, height: int = 800) -> Any:
        context = browser.new_context(locale=lang, viewport={"width": width, "height": height}, accept_downloads=True)
        contexts.append(context)
        context.add_cookies([{"name": "docduet_key", "value": site.keys[who], "url": site.url}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{site.url}/#admin/{section}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith((site.url, "data:", "blob:"))] == []


def row(page: Any, words: str) -> Any:
    return page.locator(".dd-list tbody tr", has_text=words)


def dark(page: Any) -> None:
    page.evaluate("document.body.classList.add('dark')")


def test_a_sync_with_progress_a_new_index_and_back(site: Site, opened: Any, tmp_path: Path) -> None:
    """Sync a real folder while watching it, see the new index come by itself, and roll back."""
    (old,) = site.get("/v1/admin/generations")["data"]
    (site.docs / "spare-parts.md").write_text("# Spare parts\n\nOrder part QX-77 for the hinge.\n" * 30)
    indexes = opened("indexes")
    row(indexes, old["id"]).locator(".dd-badge", has_text="live").wait_for()
    assert indexes.locator("[data-do=rollback]").count() == 0  # the live one cannot be chosen
    page = opened("sources")
    row(page, str(site.docs)).wait_for()
    page.evaluate(
        """() => { window.stages = []; new MutationObserver(() => {
             const now = document.querySelector(".dd-progress strong")?.textContent;
             if (now) window.stages.push(now); }).observe(document.body, {subtree: true, childList: true}); }"""
    )
    page.click("[data-do=sync]")
    page.locator(".dd-notice-good", has_text="The sync has started").wait_for()
    page.locator(".dd-progress").wait_for()
    page.click("[data-do=sync]")
    page.locator(".dd-notice-bad", has_text="running already").wait_for()
    shoot(page, "admin-sync", tmp_path)
    last = page.locator(".dd-box", has_text="The last sync")
    last.locator(".dd-badge-good").wait_for()
    assert page.locator(".dd-progress").count() == 0
    assert set(page.evaluate("window.stages")) & {"Reading documents", "Cutting pages", "Embedding chunks"}
    assert re.search(r"Added\s*1", last.inner_text())
    assert row(page, str(site.docs)).locator(".dd-badge", has_text="1 not read").count() == 1
    last.locator("summary").click()
    assert "broken.pdf" in last.locator("li").first.inner_text()
    page.wait_for_timeout(6000)  # longer than the page waits before it looks again: what was opened stays open
    assert last.locator("details[open]").count() == 1
    shoot(page, "admin-sources", tmp_path)

    row(indexes, old["id"]).locator("[data-do=rollback]").wait_for()  # the new index came without a reload
    new = next(one for one in site.get("/v1/admin/generations")["data"] if one["live"])
    assert new["id"] != old["id"]
    row(indexes, old["id"]).locator("[data-do=rollback]").click()
    shoot(indexes, "admin-confirm", tmp_path)
    indexes.locator("dialog button", has_text="Cancel").click()
    row(indexes, old["id"]).locator("[data-do=rollback]").press("Enter")
    indexes.locator("dialog button", has_text="Yes").click()
    indexes.locator(".dd-notice-good", has_text=old["id"]).wait_for()
    row(indexes, old["id"]).locator(".dd-badge", has_text="live").wait_for()
    assert site.get("/readyz")["parts"]["index"]["generation"] == old["id"]
    shoot(indexes, "admin-indexes", tmp_path)


def test_engines_restart_and_voices_say_why(site: Site, opened: Any, tmp_path: Path) -> None:
    page = opened("engines")
    base = page.locator(".dd-box", has_text="tiny")
    base.locator(".dd-badge", has_text=re.compile("^ready$")).wait_for()
    far = page.locator(".dd-box", has_text="http://127.0.0.1:9/v1")
    assert far.locator(".dd-badge", has_text="does not answer").count() == 1
    assert far.locator("[data-do=restart]").count() == 0  # somebody else runs it
    assert "docduet sft export" in row(page, "Learned the docs").inner_text()
    base.locator("[data-do=restart]").click()
    page.locator("dialog button", has_text="Yes").click()
    page.locator(".dd-notice-good", has_text="base restarts").wait_for()
    base.locator(".dd-facts div", has_text=re.compile("^Restarts.*1$")).wait_for()
    base.locator(".dd-badge", has_text=re.compile("^ready$")).wait_for()
    shoot(page, "admin-engines", tmp_path)


def test_gaps_are_topics_with_their_answers_and_a_file(site: Site, opened: Any, tmp_path: Path) -> None:
    for question in (*SPAGHETTI, "Who won the chess world championship of 1972?"):
        body = {"model": "rag", "messages": [{"role": "user", "content": question}]}
        headers = {"Authorization": f"Bearer {site.keys['ann']}"}
        httpx.post(f"{site.url}/v1/chat/completions", json=body, headers=headers, timeout=60).raise_for_status()
    page = opened("gaps")
    first = page.locator(".dd-gap").first
    first.wait_for()
    assert first.locator(".dd-count").inner_text() == "3"
    assert "spaghetti" in first.locator(".dd-gap-what").inner_text()
    assert "ann" not in page.locator(".dd-admin").inner_text().split()
    first.locator("summary").click()
    shoot(page, "admin-gaps", tmp_path)
    with page.expect_download() as download:
        page.click("[data-do=csv]")
    table = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert table[0].startswith("topic,words,questions")
    assert "spaghetti" in table[1]
    page.select_option("[name=days]", "7")
    page.locator("option[value='7'][selected]").wait_for(state="attached")
    page.locator(".dd-gap a").first.click()  # what was open stays open
    page.locator("h2", has_text="spaghetti").wait_for()
    assert page.locator(".dd-box .dd-badge", has_text="refused").count() == 1
    shoot(page, "admin-answer", tmp_path)


def test_a_page_s_chunks_can_be_looked_into(site: Site, opened: Any, tmp_path: Path) -> None:
    page = opened("chunks")
    page.locator(".dd-list").wait_for()
    page.fill("[data-form=chunks] [name=q]", "operations")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.dd-list tbody tr').length === 1")
    page.locator(".dd-list a").click()
    page.locator(".dd-page-text").wait_for()
    pieces = page.locator(".dd-piece")
    assert pieces.count() > 5
    pieces.nth(3).press("Enter")
    chosen = page.locator(".dd-chunk[open]")
    assert chosen.count() == 1
    number = pieces.nth(3).get_attribute("data-chunk")
    assert chosen.get_attribute("id") == f"dd-chunk-{number}"
    rows = site.get(f"/v1/admin/pages/{page.url.rpartition('/')[2]}/chunks")["data"]
    shown = chosen.locator("pre").inner_text()
    assert rows[int(number)]["context"].splitlines()[0] in shown
    assert rows[int(number)]["text"].strip()[:60] in shown
    shoot(page, "admin-chunks", tmp_path)


def test_the_search_shows_each_stage(site: Site, opened: Any, tmp_path: Path) -> None:
    page = opened("search")
    page.fill("[data-form=search] [name=q]", "How do I change the port?")
    page.fill("[name=top_k]", "4")
    page.keyboard.press("Enter")
    page.locator(".dd-verdict .dd-badge-good", has_text="answered").wait_for()
    assert page.locator(".dd-list tbody tr").count() == 4
    best = page.locator(".dd-list tbody tr").first.inner_text()
    assert re.search(r"#\d+ [\d.]+\s+#\d+ 0\.\d+\s+#1 0\.\d+", best), best
    assert "Total" in page.locator(".dd-verdict").inner_text()
    shoot(page, "admin-search", tmp_path)
    page.fill("[data-form=search] [name=q]", "How do I cook spaghetti?")
    page.keyboard.press("Enter")
    page.locator(".dd-verdict .dd-badge-note", has_text="refused").wait_for()
    assert "spaghetti" in page.locator(".dd-verdict p").inner_text()


def test_staff_see_nothing_of_it(site: Site, opened: Any) -> None:
    headers = {"Authorization": f"Bearer {site.keys['ann']}"}
    for path in ("sources", "generations", "engines", "voices", "gaps", "pages"):
        assert httpx.get(f"{site.url}/v1/admin/{path}", headers=headers).status_code == 403
    explained = httpx.post(f"{site.url}/v1/search", json={"query": "port", "explain": True}, headers=headers)
    assert explained.status_code == 403
    page = opened("sources", who="ann")
    page.locator(".dd-welcome").wait_for(state="attached")
    page.wait_for_timeout(1500)
    assert str(site.docs) not in page.content()


@pytest.mark.parametrize("section", ["sources", "indexes", "engines", "gaps", "chunks", "search"])
def test_chinese_on_a_phone_in_the_dark(site: Site, opened: Any, tmp_path: Path, section: str) -> None:
    page = opened(section, lang="zh-CN", width=390, height=844)
    page.locator(".dd-section h2").wait_for()
    assert re.search("[一-鿿]", page.locator(".dd-section h2").inner_text())
    dark(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".dd-admin").evaluate("e => e.scrollWidth") <= 390
    shoot(page, f"admin-zh-{section}", tmp_path)

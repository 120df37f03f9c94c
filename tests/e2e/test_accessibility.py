"""No panel, light or dark, has a serious accessibility fault, says axe-core in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.refresh import Plan, Refresher
from serving.store.database import Store
from tests.access_gateway import indexed, new_key, open_store
from tests.e2e.chromium import CHROMIUM, FLAGS, MARKS
from tests.e2e.test_chat import ask
from tests.e2e.test_report import seed
from tests.fake_gateway import in_thread
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor
from ui.admin.asked import SECTIONS
from ui.app import mount
from ui.config import UiConfig

pytestmark = [*MARKS, pytest.mark.timeout(300)]

QUESTION = "Which port does the gateway listen on by default?"
READ = "The gateway listens on port 7860 [1].\n\n```toml\nport = 7860\n```\n\n|a|b|\n|-|-|\n|1|2|"
EVERY: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = EVERY | {"runOnly": ["color-contrast"]}  # all else is the same in the dark
LEARNED = "By default it is port 7860. Ports below 1024 need root."


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("database"))
    seed(store, 40)
    yield store
    store.close()


@pytest.fixture(scope="module")
def url(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    engines = ScriptedEngine(READ), ScriptedEngine(LEARNED, name="sft")
    named = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
    config = ServingConfig(require_keys="always", database=str(store.engine.url), engines=named)
    supervisor: Any = ScriptedSupervisor(*engines)
    home = indexed(tmp_path_factory.mktemp("home"))
    live = LiveIndex(home, RagConfig(), HashedWords())
    plan = Plan(0, ("docduet", "sync"), home.refresh, home.logs / "refresh.log", {})  # never run
    app = create_app(config, supervisor, live, Refresher(plan, live))
    with in_thread(lambda url: mount(app, url, UiConfig())) as url:
        yield url


class Walk:
    """A page, and what axe-core found serious or critical on the way: "where: rule: the first place"."""

    def __init__(self, page: Any) -> None:
        from axe_playwright_python.sync_playwright import Axe

        self.page, self.axe, self.faults, self.passed = page, Axe(), set[str](), 0

    def check(self, where: str) -> None:
        for scheme, options in (("light", EVERY), ("dark", COLOURS)):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
            self.page.evaluate("Promise.all(document.getAnimations().map(a => a.finished.catch(() => {})))")
            self._run(f"{where}, {scheme}", options)

    def _run(self, where: str, options: dict[str, Any]) -> None:
        found = self.axe.run(self.page, options=options).response
        self.passed += len(found["passes"])
        for rule in found["violations"]:
            if rule["impact"] in ("serious", "critical"):
                first = rule["nodes"][0]
                self.faults.add(f"{where}: {rule['id']}: {first['html'][:200]} {first['failureSummary']}")

    def panel(self, address: str, ready: str) -> None:
        self.page.evaluate("address => { location.hash = address }", address)
        self.page.locator(ready).first.wait_for()
        assert not self.page.locator("[role=alert]:visible:not(:empty)").all_inner_texts()
        self.check(address)


def test_no_serious_fault_from_sign_in_to_the_report(url: str, store: Store) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        walk = Walk(page)
        page.goto(url)
        walk.check("sign-in")
        page.fill("#key", new_key(store, role="admin"))
        page.click("button")
        page.wait_for_selector(".dd-welcome")
        walk.check("welcome")
        _conversation(walk)
        for section in SECTIONS:
            walk.panel(f"admin/{section}", f'[aria-current][href="#admin/{section}"]')
        walk.panel("report", ".dr-headline")
        browser.close()
    assert walk.passed > 200  # axe did look
    assert not walk.faults, "\n\n".join(sorted(walk.faults))


def _conversation(walk: Walk) -> None:
    page = walk.page
    for voice, name in (("rag", "answer"), ("compare", "sides"), ("blind", "blind")):
        page.locator(f"#dd-voice input[value={voice}]").check(force=True)
        article = ask(page, QUESTION)
        article.locator(".dd-footer").last.wait_for()
        if voice == "rag":
            article.locator(".dd-details summary").click()
            article.locator(".dd-thumb").last.click()
            article.locator(".dd-opinion-form").wait_for()
        else:
            article.locator(".dd-winner label").first.click()
        if voice == "compare":
            article.locator("[data-switch=diff]").check()
        walk.check(name)
    page.set_viewport_size({"width": 390, "height": 844})
    walk.check("phone")
    page.set_viewport_size({"width": 1280, "height": 800})

"""Signing in to the chat app with a key, in a real Chromium on the real gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.config import RagConfig
from rag.live import LiveIndex
from serving.access import doors, keyring, keys
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.store.database import Store
from tests.access_gateway import indexed, new_key, open_store
from tests.e2e.chromium import CHROMIUM, FLAGS, MARKS
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fakes import HashedWords, ScriptedEngine, ScriptedSupervisor
from ui.app import mount
from ui.config import UiConfig

pytestmark = MARKS

QUESTION = "Which port does the gateway listen on by default?"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def url(base: Store, tmp_path: Path) -> Iterator[str]:
    engines = (EngineConfig(name="base", base_url="http://scripted"),)
    config = ServingConfig(require_keys="always", database=str(base.engine.url), engines=engines)
    supervisor: Any = ScriptedSupervisor(ScriptedEngine("It listens on port 7860 [1]."))
    live = LiveIndex(indexed(tmp_path / "home"), RagConfig(), HashedWords())
    gateway = create_app(config, supervisor, live)
    with in_thread(lambda url: mount(gateway, url, UiConfig())) as url:
        yield url


def test_sign_in_wrong_key_sign_out_and_a_key_that_is_revoked(
    url: str, base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import sync_playwright

    monkeypatch.setattr(keyring, "REFRESH_S", 0.0)
    secret = new_key(base)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(url)
        assert page.url == f"{url}/sign-in"

        def enter(key: str) -> None:
            page.fill("#key", key)
            page.click("button")

        enter("dd_no_such_key")
        assert "unknown or revoked" in page.locator("[role=alert]").inner_text()
        assert not page.context.cookies()
        enter(secret)
        page.wait_for_selector(".dd-welcome")
        page.set_viewport_size({"width": 390, "height": 800})  # four buttons now stand beside the title
        page.locator("#dd-account summary").wait_for()
        brand, new = (page.locator(part).bounding_box() for part in ("#dd-title .dd-logo", "#dd-new"))
        assert brand["x"] + brand["width"] <= new["x"]
        assert not page.locator("#dd-title span").is_visible()
        page.set_viewport_size({"width": 1360, "height": 860})
        assert page.locator("#dd-title span").is_visible()
        article = ask(page, QUESTION)
        assert "It listens on port 7860" in article.locator(".dd-prose").inner_text()
        (cookie,) = [cookie for cookie in page.context.cookies() if cookie["name"] == doors.COOKIE]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["value"]) == (True, "Lax", secret)
        assert page.evaluate("document.cookie").find(secret) == -1
        assert secret not in page.content()
        with page.expect_popup() as popup:
            article.locator(".dd-open").click()
        popup.value.locator("#quote").wait_for()

        page.locator("#dd-account summary").click()
        page.locator("#dd-account button").click()
        page.wait_for_url(f"{url}/sign-in?state=signed-out")
        assert not page.context.cookies()
        page.goto(url)
        assert page.url == f"{url}/sign-in"

        enter(secret)
        page.wait_for_selector(".dd-welcome")
        with base.writing() as db:
            keys.revoke(db, "anna")
        page.goto(url)
        assert page.url == f"{url}/sign-in"
        browser.close()


HOSTILE = (
    "#//evil.test",
    "#javascript:alert(1)",
    """#'"><img src=x onerror=alert(1)>""",
    "#/\\\\evil.test",
    f"#{'x' * 9000}",
)


def test_a_link_to_a_conversation_leads_there_after_signing_in(browser: Any, url: str, base: Store) -> None:
    secret = new_key(base)
    page = browser.new_context().new_page()
    page.goto(url)

    def enter(key: str) -> Any:
        """Where the gateway sends them."""
        page.fill("#key", key)
        with page.expect_response(lambda response: response.request.method == "POST") as answer:
            page.click("button")
        return answer.value.headers.get("location")

    enter(secret)
    ask(page, QUESTION)
    page.wait_for_url(f"{url}/#chat/conv_*")
    link = page.url
    page.context.clear_cookies()
    page = browser.new_context().new_page()
    page.goto(link)
    assert page.url == link.replace("/#", "/sign-in#")
    assert enter("dd_no_such_key") is None
    page.get_by_role("alert").wait_for()
    assert enter(secret) == link.removeprefix(url)
    page.locator(".dd-question").get_by_text(QUESTION).wait_for()
    assert page.url == link
    page.locator("#dd-account summary").wait_for()

    dialogs: list[Any] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message) or dialog.dismiss())
    for fragment in HOSTILE:
        page.context.clear_cookies()
        page.goto("about:blank")
        page.goto(f"{url}/{fragment}")
        sent = enter(secret)
        assert sent.split("#")[0] == "/", fragment
        assert len(sent) <= doors.MAX_BACK
        if "onerror" in fragment:
            page.wait_for_selector(".dd-welcome")
            assert page.evaluate("location.origin + location.pathname") == f"{url}/"
    assert not dialogs

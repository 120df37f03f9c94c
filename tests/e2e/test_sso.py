"""Single sign-on in a real Chromium: the real gateway and a real small provider, each at its own address."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from serving.access import doors, keyring, sessions
from serving.access.people import owners_of
from serving.config import OidcConfig
from serving.store.database import Store
from tests.access_gateway import gateway_app, indexed, open_store
from tests.e2e.chromium import MARKS
from tests.e2e.test_chat import ask
from tests.fake_gateway import in_thread
from tests.fake_oidc import CLIENT, SECRET, FakeOidc, provider
from tests.fakes import ScriptedEngine
from ui import app as ui_app
from ui import i18n
from ui.client import Gateway
from ui.config import UiConfig
from ui.i18n import Words

pytestmark = MARKS

QUESTION = "Which port does the gateway listen on by default?"
SHOTS = os.environ.get("DOCDUET_SHOTS", "")


class Keepers:
    """A panel for administrators only."""

    key, role = "keepers", "admin"
    outputs: list[Any]

    def build_header(self) -> None: ...

    def build(self) -> None:
        self.said = gr.HTML()
        self.outputs, self.kept, self.running = [self.said], [], []

    async def page(self, words: Words, gateway: Gateway, *kept: Any) -> dict[Any, Any]:
        return {self.said: "<p id='secret'>Only for keepers</p>"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store"))
    yield store
    store.close()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeOidc]:
    with provider() as fake:
        yield fake


@pytest.fixture(scope="module")
def oidc(fake: FakeOidc) -> OidcConfig:
    return OidcConfig(
        issuer=fake.url, client_id=CLIENT, client_secret=SECRET, name="Example", admin_groups=("docs-admins",)
    )


@pytest.fixture(scope="module")
def url(base: Store, oidc: OidcConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = indexed(tmp_path_factory.mktemp("home"))
    fresh = pytest.MonkeyPatch()
    for lang in i18n.LANGUAGES:
        fresh.setitem(i18n.TEXTS[lang], "panel.keepers", "Keepers")
    frame = ui_app.Frame.__init__

    def with_keepers(self: Any, *arguments: Any) -> None:
        frame(self, *arguments)
        self.panels.append(Keepers())

    fresh.setattr(ui_app.Frame, "__init__", with_keepers)
    fresh.setattr(sessions, "REFRESH_S", 0.0)
    fresh.setattr(keyring, "REFRESH_S", 0.0)

    def make(url: str) -> Any:
        engine = ScriptedEngine("It listens on port 7860 [1].")
        return ui_app.mount(gateway_app(home, base, engine, {"public_url": url, "oidc": oidc}), url, UiConfig())

    with in_thread(make) as url:
        yield url
    fresh.undo()


def sign_in(page: Any, url: str, who: str) -> None:
    """From any page of the gateway to the chat, through the provider."""
    page.goto(url)
    assert page.url.startswith(f"{url}/sign-in")
    page.get_by_role("link", name="Example").click()
    page.fill("#who", who)
    page.click("#go")
    page.wait_for_selector(".dd-welcome, .dd-turn")
    page.locator("#dd-account summary").wait_for()


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(500)  # until colours have faded over
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_two_people_and_what_each_may_see(browser: Any, url: str, fake: FakeOidc) -> None:
    anna, olga = (browser.new_context(viewport={"width": 1280, "height": 800}).new_page() for _ in range(2))
    anna.goto(url)
    shot(anna, "signin-en")
    sign_in(anna, url, "anna")
    assert anna.locator("#dd-panels").inner_text().find("Keepers") == -1
    assert anna.locator("#secret").count() == 0
    anna.goto(f"{url}/#keepers")  # the address alone shows nothing of it
    anna.wait_for_selector(".dd-welcome")
    article = ask(anna, QUESTION)
    assert "port 7860" in article.locator(".dd-prose").inner_text()
    anna.locator("#dd-account summary").click()
    menu = anna.locator(".dd-account-menu-box")
    assert "Anna Berg" in menu.inner_text()
    assert "Support staff" in menu.inner_text()
    shot(anna, "menu-en")
    anna.keyboard.press("Escape")
    assert not menu.is_visible()
    (cookie,) = [cookie for cookie in anna.context.cookies() if cookie["name"] == doors.COOKIE]
    assert cookie["httpOnly"]
    assert cookie["value"] not in anna.content()

    sign_in(olga, url, "olga")
    olga.locator("#dd-panels").get_by_text("Keepers").click()
    olga.locator("#secret").wait_for()
    olga.locator("#dd-account summary").click()
    assert "Administrator" in olga.locator(".dd-account-menu-box").inner_text()
    assert QUESTION not in olga.content()

    anna.locator("#dd-account summary").press("Enter")  # by keyboard
    anna.locator("#dd-account button").press("Enter")
    anna.wait_for_url(f"{url}/sign-in?state=signed-out")
    assert fake.signed_out[-1]["id_token_hint"]
    assert anna.get_by_role("status").inner_text() == "You are signed out."
    anna.go_back()
    anna.wait_for_url(f"{url}/sign-in#chat/*")  # her conversation's name is all that the address keeps
    assert "7860" not in anna.content()
    sign_in(anna, url, "ben")  # the next at the same desk
    assert QUESTION not in anna.content()


def test_a_sign_in_that_ends_while_the_page_is_open(browser: Any, url: str, base: Store, fake: FakeOidc) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sign_in(page, url, "anna")
    user = f"{owners_of(OidcConfig(issuer=fake.url, client_id='x'))}anna"
    with base.writing() as db:
        assert sessions.end_of(db, user)
    page.fill("#dd-box textarea", QUESTION)
    page.keyboard.press("Enter")
    note = page.locator(".dd-ended")
    note.wait_for()
    assert "Your sign-in has ended" in note.inner_text()
    assert page.input_value("#dd-box textarea") == QUESTION
    shot(page, "ended-en")
    with context.expect_page() as opened:
        note.get_by_role("link").click()
    again = opened.value
    again.get_by_role("link", name="Example").click()
    again.fill("#who", "anna")
    again.click("#go")
    again.wait_for_selector(".dd-welcome")
    page.bring_to_front()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    note.wait_for(state="detached")
    assert page.input_value("#dd-box textarea") == QUESTION
    page.locator("#dd-box textarea").press("Enter")
    page.locator(".dd-turn .dd-prose").get_by_text("port 7860").wait_for()

    again.locator("#dd-account summary").click()
    again.locator("#dd-account button").click()
    again.wait_for_url(f"{url}/sign-in?state=signed-out")
    sign_in(again, url, "ben")
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # Anna's page is not Ben's to see
    page.wait_for_selector(".dd-welcome")
    assert QUESTION not in page.content()
    page.locator("#dd-account summary").click()
    assert "Ben Ode" in page.locator(".dd-account-menu-box").inner_text()


@pytest.mark.parametrize("direct", [False, True])
def test_a_link_to_a_conversation_leads_there_after_signing_in(
    browser: Any, url: str, fake: FakeOidc, monkeypatch: pytest.MonkeyPatch, direct: bool, oidc: OidcConfig
) -> None:
    """Also after a try that was cancelled, and where the sign-in page is passed over."""
    page = browser.new_context().new_page()
    sign_in(page, url, "anna")
    ask(page, QUESTION)
    page.wait_for_url(f"{url}/#chat/conv_*")
    link = page.url
    monkeypatch.setitem(oidc.__dict__, "direct", direct)
    page = browser.new_context().new_page()
    page.goto(link)
    if not direct:
        assert page.url == link.replace("/#", "/sign-in#")
        page.get_by_role("link", name="Example").click()
    page.wait_for_url(f"{fake.url}/authorize?*")
    assert "#" not in page.url  # the provider does not learn of it
    page.click("#no")
    page.get_by_role("alert").wait_for()
    page.get_by_role("link", name="Example").click()
    page.fill("#who", "anna")
    page.click("#go")
    page.locator(".dd-question").get_by_text(QUESTION).wait_for()
    assert page.url == link


def test_what_goes_wrong_is_said_on_the_sign_in_page_in_chinese_too(browser: Any, url: str) -> None:
    page = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844}).new_page()
    page.goto(url)
    shot(page, "signin-zh-390")
    page.get_by_role("link", name="使用 Example 登录").click()
    page.click("#no")
    page.wait_for_url(f"{url}/sign-in?problem=denied")
    assert "登录已取消或被拒绝" in page.get_by_role("alert").inner_text()
    shot(page, "denied-zh-390")
    page.get_by_role("link", name="使用 Example 登录").click()
    page.fill("#who", "olga")
    page.click("#go")
    page.locator("#dd-account summary").click()
    assert "管理员" in page.locator(".dd-account-menu-box").inner_text()
    box = page.locator(".dd-account-menu-box").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shot(page, "menu-zh-390")
    page.keyboard.press("Escape")
    page.locator("#dd-theme").click()
    page.locator("#dd-account summary").click()
    shot(page, "menu-zh-390-dark")

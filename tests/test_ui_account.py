"""The account menu as HTML, and which panels a role sees."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_gateway import FakeGateway, serving
from ui.account.client import Me, me
from ui.account.render import account, menu_html
from ui.app import Frame
from ui.client import Gateway
from ui.config import UiConfig
from ui.i18n import Words


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_names_are_text(lang: str) -> None:
    html = menu_html(Words(lang), Me("u", '<img src=x onerror=alert(1)>\u202e"', "staff", "sso"))
    assert "<img" not in html
    assert "&lt;img" in html
    assert Words(lang)("role.staff") in html
    assert 'action="/sign-out"' in html


@pytest.mark.parametrize(("name", "initial"), [("anna", "A"), ("王芳", "王"), ("(x)", "X"), ("--", "?")])
def test_the_initial(name: str, initial: str) -> None:
    assert f'aria-hidden="true">{initial}</span>' in menu_html(Words(), Me("u", name, "admin", "key"))


def test_where_nobody_signs_in_there_is_no_menu() -> None:
    assert account(Words(), Me("local", "", "admin", ""))["html"] == ""
    assert account(Words(), Me())["user"] == ""


async def test_whose_page_it_is() -> None:
    with serving(FakeGateway(me={"user": "a", "name": "Anna", "role": "staff", "sign_in": "key"}).app()) as url:
        gateway = Gateway(url)
        assert await me(gateway) == Me("a", "Anna", "staff", "key")
        await gateway.aclose()
    away = Gateway("http://127.0.0.1:9")
    assert await me(away) == Me()
    await away.aclose()


class Hidden:
    """A panel of administrators that counts how often it was asked for."""

    key, role = "chat", "admin"
    outputs: list[Any] = []  # noqa: RUF012
    kept: list[Any] = []  # noqa: RUF012
    running: list[Any] = []  # noqa: RUF012
    asked = 0

    def build_header(self) -> None: ...

    def build(self) -> None: ...

    async def page(self, words: Words, gateway: Gateway, *kept: Any) -> dict[Any, Any]:
        self.asked += 1
        return {}


@pytest.mark.parametrize(("role", "shown"), [("admin", True), ("staff", False), ("service", False)])
async def test_panels_of_administrators_are_theirs(role: str, shown: bool) -> None:
    fake = FakeGateway(me={"user": "a", "name": "A", "role": role, "sign_in": "key"})
    with serving(fake.app()) as url:
        frame, panel = Frame(Gateway(url), UiConfig()), Hidden()
        frame.panels.append(panel)
        frame.blocks()
        request: Any = Asking()
        page = await frame.open(None, request)
        await frame.gateway.aclose()
    assert (page[frame.names].count('data-panel="chat"') == 2) is shown
    assert panel.asked == shown


class Asking:
    """A page's request without a key."""

    headers: dict[str, str] = {}  # noqa: RUF012

"""Single sign-on over HTTP: a real gateway and a real small provider, good and bad sign-ins, sessions, roles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import httpx
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from data.errors import ConfigError, StoreError
from data.home import Home
from data.settings import Settings
from docduet import app
from serving.access import doors, sessions
from serving.access.bind import check_reach
from serving.access.people import SsoError, groups_in, owners_of, person_of
from serving.access.sessions import Sessions
from serving.config import OidcConfig, ServingConfig
from serving.errors import ApiError
from serving.store.database import Store
from serving.store.tables import SignIn
from tests.access_gateway import bearer, gateway_app, indexed, new_key, open_store
from tests.fake_gateway import in_thread
from tests.fake_oidc import CLIENT, SECRET, FakeOidc, provider
from tests.fakes import ScriptedEngine
from tests.test_handbook import TABLES


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return indexed(tmp_path_factory.mktemp("oidc"))


@pytest.fixture(scope="module")
def running() -> Iterator[FakeOidc]:
    with provider() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeOidc) -> FakeOidc:
    running.lies, running.thin = {}, False
    running.signed_out.clear()
    return running


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store"))
    yield store
    store.close()


def settings(fake: FakeOidc, **more: Any) -> OidcConfig:
    usual: dict[str, Any] = {"admin_groups": ("docs-admins",), "allowed_domains": ("example.com",)}
    return OidcConfig(issuer=fake.url, client_id=CLIENT, client_secret=SECRET, **(usual | more))


@pytest.fixture(scope="module")
def url(home: Home, base: Store, running: FakeOidc) -> Iterator[str]:
    def make(url: str) -> Any:
        return gateway_app(home, base, ScriptedEngine("Yes."), {"public_url": url, "oidc": settings(running)})

    with in_thread(make) as url:
        yield url


@pytest.fixture
def browser(url: str) -> Iterator[httpx.Client]:
    """Keeps cookies and follows no redirect."""
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}) as client:
        yield client


def begun(browser: httpx.Client, next: str = "/") -> dict[str, str]:
    """What the provider is asked for."""
    started = browser.get("/sign-in/sso", params={"next": next})
    assert started.status_code == 303, started.text
    return dict(parse_qsl(urlsplit(started.headers["location"]).query))


def signed_in(browser: httpx.Client, fake: FakeOidc, who: str = "anna", next: str = "/") -> httpx.Response:
    return browser.get(fake.answer(begun(browser, next) | {"who": who}))


def problem_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303
    assert urlsplit(answer.headers["location"]).path == "/sign-in"
    return parse_qs(urlsplit(answer.headers["location"]).query)["problem"][0]


def me(url: str, browser: httpx.Client) -> dict[str, str]:
    body: dict[str, str] = httpx.get(f"{url}/v1/me", headers=bearer(browser.cookies[doors.COOKIE])).json()
    return body


def test_a_good_sign_in(url: str, browser: httpx.Client, fake: FakeOidc) -> None:
    page = browser.get("/sign-in", params={"next": "/pages/ab?quote=x"}).text
    assert 'href="/sign-in/sso?next=%2Fpages%2Fab%3Fquote%3Dx"' in page
    asked = begun(browser, "/pages/ab?quote=x")
    assert asked["redirect_uri"] == f"{url}/sign-in/callback"
    assert {"openid", "email"} <= set(asked["scope"].split())
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20
    arrived = browser.get(fake.answer(asked | {"who": "anna"}))
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/pages/ab?quote=x")
    cookie = next(line for line in arrived.headers.get_list("set-cookie") if line.startswith(doors.COOKIE))
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=432"))
    assert "Secure" not in cookie
    assert me(url, browser) == {
        "object": "user",
        "user": f"{owners_of(settings(fake))}anna",
        "name": "Anna Berg",
        "role": "staff",
        "sign_in": "sso",
    }
    assert browser.get("/sign-in").headers["location"] == "/"
    assert httpx.get(f"{url}/v1/me", cookies=dict(browser.cookies)).status_code == 401  # the API takes no cookie


def test_staff_and_administrators_see_their_own(url: str, fake: FakeOidc) -> None:
    with httpx.Client(base_url=url) as anna, httpx.Client(base_url=url) as olga:
        signed_in(anna, fake, "anna")
        signed_in(olga, fake, "olga")
        asking = {"model": "base", "messages": [{"role": "user", "content": "Hello?"}], "docduet": {}}
        asking["docduet"] = {"conversation": "new"}
        keys = {name: bearer(client.cookies[doors.COOKIE]) for name, client in (("anna", anna), ("olga", olga))}
        asked = httpx.post(f"{url}/v1/chat/completions", json=asking, headers=keys["anna"]).json()
        conversation = asked["docduet"]["conversation"]
        assert len(httpx.get(f"{url}/v1/conversations", headers=keys["anna"]).json()["data"]) == 1
        assert httpx.get(f"{url}/v1/conversations", headers=keys["olga"]).json()["data"] == []
        there = f"{url}/v1/conversations/{conversation}"
        assert [httpx.get(there, headers=keys[name]).status_code for name in ("anna", "olga")] == [200, 404]
        kept = f"{url}/v1/admin/generations"
        assert [httpx.get(kept, headers=keys[name]).status_code for name in ("anna", "olga")] == [403, 200]
        assert me(url, olga)["role"] == "admin"


@pytest.mark.parametrize(
    ("lies", "problem"),
    [
        ({"nonce": "another"}, "rejected"),
        ({"nonce": None}, "rejected"),
        ({"aud": "another"}, "rejected"),
        ({"aud": ["another"], "azp": CLIENT}, "rejected"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "rejected"),
        ({"iss": "https://another.test"}, "rejected"),
        ({"exp": 1_000_000_000, "iat": 999_999_000}, "clock"),
        ({"iat": 5_000_000_000, "exp": 5_000_000_300}, "clock"),
        ({"key": True}, "rejected"),
        ({"sub": ""}, "rejected"),
        ({"no_id_token": True}, "rejected"),
        ({"email_verified": False}, "not_allowed"),
    ],
)
def test_an_id_token_that_is_not_right(
    browser: httpx.Client, fake: FakeOidc, lies: dict[str, Any], problem: str
) -> None:
    fake.lies = lies
    assert problem_of(signed_in(browser, fake)) == problem
    assert doors.COOKIE not in browser.cookies
    page = browser.get("/sign-in", params={"problem": problem})
    assert 'role="alert"' in page.text
    fake.lies = {}
    assert signed_in(browser, fake).headers["location"] == "/"  # nothing of it stays


def test_a_clock_that_is_a_minute_off_does_not_matter(browser: httpx.Client, fake: FakeOidc) -> None:
    now = int(time.time())
    fake.lies = {"iat": now + 60, "exp": now + 360}
    assert signed_in(browser, fake).headers["location"] == "/"


def test_states_and_codes_count_once_and_in_their_own_browser(url: str, browser: httpx.Client, fake: FakeOidc) -> None:
    asked = begun(browser)
    assert problem_of(browser.get("/sign-in/callback", params={"code": "x", "state": "x"})) == "state"
    assert problem_of(browser.get(fake.answer(asked | {"who": "anna"}))) == "state"  # what was begun is over
    old, fresh = begun(browser), begun(browser)
    assert problem_of(browser.get(fake.answer(old | {"who": "anna"}))) == "state"  # an old tab
    fresh = begun(browser)
    with httpx.Client(base_url=url) as another:
        link = fake.answer(fresh | {"who": "anna"})
        assert problem_of(another.get(link)) == "state"  # another's link signs nobody in
    kept = dict(browser.cookies)
    assert browser.get(link).headers["location"] == "/"
    assert problem_of(browser.get(link)) == "state"
    replayed = httpx.get(link, cookies=kept)  # with the cookie that was kept, it is the provider that knows
    assert problem_of(replayed) == "rejected"


@pytest.mark.parametrize("cookie", ["", "x", "e30", "eyJiZWd1biI6IHt9fQ", "é", "A" * 5000])
def test_a_cookie_that_is_not_ours(url: str, cookie: str) -> None:
    headers = {"Cookie": f"docduet_sso={cookie}".encode()}
    answer = httpx.get(f"{url}/sign-in/callback?code=x&state=x", headers=headers)  # type: ignore[arg-type]
    assert problem_of(answer) == "state"


def test_who_cancels_or_is_not_let_in_comes_back_to_the_page(browser: httpx.Client, fake: FakeOidc) -> None:
    assert problem_of(browser.get(fake.answer(begun(browser) | {"deny": "1", "who": ""}))) == "denied"
    assert problem_of(signed_in(browser, fake, "eve")) == "not_allowed"
    assert "may not use DocDuet" in browser.get("/sign-in?problem=not_allowed").text
    chinese = browser.get("/sign-in?problem=not_allowed", headers={"Accept-Language": "zh-CN"}).text
    assert "无权使用" in chinese
    assert "alert" not in browser.get("/sign-in", params={"problem": "<script>"}).text


def test_after_a_sign_in_that_failed_the_next_one_leads_where_the_first_would(
    browser: httpx.Client, fake: FakeOidc
) -> None:
    denied = browser.get(fake.answer(begun(browser, "/#chat/conv_1") | {"deny": "1", "who": ""}))
    assert denied.headers["location"] == "/sign-in?problem=denied&next=%2F%23chat%2Fconv_1"
    assert 'href="/sign-in/sso?next=%2F%23chat%2Fconv_1"' in browser.get(denied.headers["location"]).text
    assert signed_in(browser, fake, next="/#chat/conv_1").headers["location"] == "/#chat/conv_1"


def test_what_is_remembered_fits_into_a_cookie(browser: httpx.Client, fake: FakeOidc) -> None:
    """Browsers drop cookies of more than 4,096 bytes, and with it the sign-in."""
    browser.headers["X-Forwarded-Proto"] = "https"
    for characters in (275, 400):
        back = f"/pages/{'a' * 16}?quote={quote('端' * characters)}"
        kept = browser.get("/sign-in/sso", params={"next": back}).headers["set-cookie"].split(";")[0]
        assert len(kept) < 4096 - 200  # a longer public_url has room


@pytest.mark.parametrize("target", ["//evil.test", "https://evil.test/", "/\\evil.test", "javascript:alert(1)"])
def test_it_leads_nowhere_else(browser: httpx.Client, fake: FakeOidc, target: str) -> None:
    assert signed_in(browser, fake, next=target).headers["location"] == "/"


def test_claims_that_only_userinfo_has(url: str, browser: httpx.Client, fake: FakeOidc) -> None:
    fake.thin = True
    assert signed_in(browser, fake, "olga").headers["location"] == "/"
    assert (me(url, browser)["name"], me(url, browser)["role"]) == ("Olga 管理", "admin")
    fake.lies = {"userinfo_sub": "anna"}
    assert problem_of(signed_in(browser, fake, "olga")) == "rejected"


def test_signing_out_here_and_there(url: str, browser: httpx.Client, fake: FakeOidc) -> None:
    signed_in(browser, fake)
    token = browser.cookies[doors.COOKIE]
    left = browser.post("/sign-out")
    assert left.headers["location"].startswith(f"{fake.url}/end?")
    assert doors.COOKIE not in browser.cookies
    back = browser.get(browser.get(left.headers["location"]).headers["location"])
    assert "You are signed out" in back.text
    (asked,) = fake.signed_out
    assert asked["post_logout_redirect_uri"] == f"{url}/sign-in"
    assert asked["id_token_hint"]
    gone = httpx.get(f"{url}/v1/me", headers=bearer(token))
    assert (gone.status_code, gone.json()["error"]["code"]) == (401, "session_ended")
    assert browser.get("/sign-in/who").json() == {"user": ""}


def test_over_https_the_cookie_is_the_hosts_own(browser: httpx.Client, fake: FakeOidc) -> None:
    browser.headers["X-Forwarded-Proto"] = "https"
    started = browser.get("/sign-in/sso")
    kept = started.headers["set-cookie"]
    assert kept.startswith("__Host-docduet_sso=")
    assert "Secure" in kept
    asked = dict(parse_qsl(urlsplit(started.headers["location"]).query))
    flow = {"Cookie": kept.split(";")[0]}
    arrived = browser.get(fake.answer(asked | {"who": "anna"}), headers=flow)
    cookie = next(c for c in arrived.headers.get_list("set-cookie") if c.startswith(f"__Host-{doors.COOKIE}="))
    assert "Secure" in cookie
    value = cookie.split(";")[0]
    assert browser.get("/sign-in/who", headers={"Cookie": value}).json()["user"]
    planted = value.removeprefix("__Host-")  # a neighbouring host may set this one
    assert browser.get("/sign-in/who", headers={"Cookie": planted}).json() == {"user": ""}


def test_another_gateway_knows_the_session_and_another_provider_does_not(
    url: str, browser: httpx.Client, fake: FakeOidc, home: Home, base: Store
) -> None:
    signed_in(browser, fake)
    token = bearer(browser.cookies[doors.COOKIE])
    second = gateway_app(home, base, ScriptedEngine("Yes."), {"public_url": url, "oidc": settings(fake)})
    elsewhere = settings(fake).model_copy(update={"issuer": "https://another.test"})
    third = gateway_app(home, base, ScriptedEngine("Yes."), {"public_url": url, "oidc": elsewhere})
    with in_thread(lambda _: second) as there, in_thread(lambda _: third) as other:
        assert [httpx.get(f"{at}/v1/me", headers=token).status_code for at in (there, other)] == [200, 401]


def test_a_provider_that_is_away_or_somebody_else(url: str, home: Home, base: Store, fake: FakeOidc) -> None:
    away = settings(fake).model_copy(update={"issuer": "http://127.0.0.1:9"})
    wrong = settings(fake, name="Acme", direct=True)
    for config, lies in ((away, {}), (wrong, {"issuer": "https://another.test"})):
        gateway = gateway_app(home, base, ScriptedEngine("Yes."), {"public_url": "http://here", "oidc": config})
        fake.lies = lies
        with in_thread(lambda _, gateway=gateway: gateway) as at, httpx.Client(base_url=at) as browser:
            key = new_key(base)
            assert problem_of(browser.get("/sign-in/sso")) == "provider"
            assert "does not answer" in browser.get("/sign-in?problem=provider").text
            signed = browser.post("/sign-in", data={"key": key})  # keys go on
            assert signed.headers["location"] == "/"
    with in_thread(lambda _: gateway) as at:
        direct = httpx.get(f"{at}/sign-in?next=/x").text
        assert 'href="/sign-in/sso?next=%2Fx" autofocus data-go>' in direct  # which the page's script follows
        for stays in ("key=1", "state=signed-out", "problem=denied"):
            page = httpx.get(f"{at}/sign-in?{stays}").text
            assert "Sign in with Acme" in page
            assert "data-go>" not in page


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


ANNA = person_of({"sub": "anna"}, OidcConfig(issuer="https://a.test", client_id="x"))


async def test_sessions_end_by_themselves(fresh: Store) -> None:
    known = Sessions(fresh, "oidc:")
    short = await known.begin(ANNA, 0.05, "id")
    long = await known.begin(ANNA, 60, "id")
    assert await known.find(long)
    assert await known.find(long[:-1] + ("A" if long[-1] != "A" else "B")) is None
    await asyncio.sleep(0.1)
    assert await known.find(short) is None
    await known.begin(ANNA, 60, "id")
    with fresh.reading() as db:
        assert db.query(SignIn).count() == 2  # the expired one is gone
    assert await Sessions(fresh, "").find(long) is None
    with fresh.writing() as db:
        assert sessions.end_of(db, ANNA.user) == 2


def test_only_the_hash_of_a_token_is_kept(fresh: Store, tmp_path: Path) -> None:
    with fresh.writing() as db:
        token = sessions.begin(db, ANNA, 60, "id")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.encode() not in kept
    assert token.split("_")[1].encode() in kept


async def test_while_the_database_is_away_known_sessions_hold_for_five_minutes(
    fresh: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    known = Sessions(fresh, "oidc:", clock=lambda: now[0])
    token = await known.begin(ANNA, 6000, "")
    assert await known.find(token)

    async def away(*_: Any, **__: Any) -> None:
        raise StoreError("away")

    monkeypatch.setattr(fresh, "run", away)
    now[0] = 250
    assert await known.find(token)
    now[0] = 320
    with pytest.raises(ApiError, match="does not answer"):
        await known.find(token)


ALL = {name: model for name, model in TABLES.items() if "." not in name}


def test_keys_revoke_ends_the_sessions_of_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    store = open_store(tmp_path)
    with store.writing() as db:
        sessions.begin(db, ANNA, 60, "")
    ended = CliRunner().invoke(app, ["keys", "revoke", ANNA.user])
    assert f"Ended 1 session of '{ANNA.user}'" in ended.output
    with store.reading() as db:
        assert db.query(SignIn).count() == 0
    store.close()
    assert CliRunner().invoke(app, ["keys", "revoke", ANNA.user]).exit_code != 0


def test_with_single_sign_on_others_may_reach_a_gateway_without_keys(fresh: Store, fake: FakeOidc) -> None:
    config = ServingConfig(host="0.0.0.0", public_url="https://d.test", oidc=settings(fake))
    check_reach(config, str(fresh.engine.url))


CLAIMS: dict[str, Any] = {"sub": "1", "email": "A@Example.com", "email_verified": True}
RULES = OidcConfig(issuer="https://a.test", client_id="x", admin_emails=("a@example.com",))


@pytest.mark.parametrize(
    ("claims", "rules", "role"),
    [
        (CLAIMS, {}, "admin"),
        (CLAIMS | {"email_verified": False}, {}, "staff"),
        (CLAIMS | {"email_verified": None}, {}, "staff"),
        (CLAIMS | {"email_verified": None}, {"trust_emails": True}, "admin"),
        (CLAIMS | {"email_verified": False}, {"trust_emails": True}, "staff"),
        (CLAIMS, {"allowed_domains": ("@EXAMPLE.com",)}, "admin"),
        (CLAIMS | {"email": "x@notexample.com"}, {"allowed_domains": ("example.com",)}, None),
        (CLAIMS | {"email": "x@example.com.evil"}, {"allowed_domains": ("example.com",)}, None),
        ({"sub": "1"}, {"allowed_domains": ("example.com",)}, None),
        ({"sub": "1", "groups": ["b", "c"]}, {"admin_groups": ("c",)}, "admin"),
        ({"sub": "1", "groups": "c"}, {"admin_groups": ("c",)}, "admin"),
        ({"sub": "1", "groups": {"c": 1}}, {"admin_groups": ("c",)}, "staff"),
        ({"sub": "1", "realm_access": {"roles": ["c"]}}, {"admin_groups": ("c",), "groups_claim": "realm_access.roles"},
         "admin"),
        ({"sub": "1", "https://a.test/roles": ["c"]}, {"admin_groups": ("c",), "groups_claim": "https://a.test/roles"},
         "admin"),
        ({"sub": "x" * 300}, {}, None),
        ({"sub": 7}, {}, None),
    ],
)  # fmt: skip
def test_who_they_are(claims: dict[str, Any], rules: dict[str, Any], role: str | None) -> None:
    config = RULES.model_copy(update=rules)
    if role is None:
        with pytest.raises(SsoError):
            person_of(claims, config)
    else:
        assert person_of(claims, config).role == role


def test_people_of_two_providers_are_not_one() -> None:
    other = RULES.model_copy(update={"issuer": "https://b.test"})
    assert person_of(CLAIMS, RULES).user != person_of(CLAIMS, other).user
    assert replace(person_of(CLAIMS, RULES), name="").user.endswith(":1")
    assert groups_in({}, "a.b.c") == set()


@pytest.mark.parametrize(
    ("oidc", "told"),
    [
        ({"issuer": "http://login.example.com", "client_id": "x"}, "https"),
        ({"issuer": "login.example.com", "client_id": "x"}, "https"),
        ({"issuer": "https://a.test/.well-known/openid-configuration", "client_id": "x"}, "discovery"),
        ({"issuer": "https://a.test"}, "client_id"),
        ({"issuer": "https://a.test", "client_id": "x", "scopes": ("email",)}, "openid"),
        ({"issuer": "https://a.test", "client_id": "x"}, "public_url"),
    ],
)
def test_a_table_that_cannot_work(oidc: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ServingConfig(oidc=OidcConfig(**oidc))


def test_the_secret_comes_from_the_environment_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCDUET__SERVING__OIDC__CLIENT_SECRET", "hush")
    path = tmp_path / "docduet.toml"
    path.write_text(
        '[serving]\npublic_url = "https://d.test"\n[serving.oidc]\nissuer = "https://a.test"\nclient_id = "x"\n'
    )
    read = Settings(ALL, path=path).table(ServingConfig)
    assert (read.oidc.client_secret, read.oidc.client_id) == ("hush", "x")
    assert "hush" not in repr(read)
    path.write_text(path.read_text() + 'isuer = "y"\n')
    with pytest.raises(ConfigError, match="did you mean 'issuer'"):
        Settings(ALL, path=path).table(ServingConfig)

"""Keys over HTTP: both header forms, revoking, roles, open paths; and what is kept of a key."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from typer.testing import CliRunner

from data.errors import ConfigError
from data.home import Home
from docduet import app
from serving.access import doors, keyring, keys
from serving.access.bind import check_reach
from serving.access.doors import local
from serving.access.middleware import Access
from serving.config import ServingConfig
from serving.store.database import Store
from tests.access_gateway import BODY, Start, bearer, indexed, new_key, open_store, starting


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return indexed(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    with starting(home) as start:
        yield start


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


CHAT = "/v1/chat/completions"


def test_both_header_forms_are_equal_and_two_keys_are_refused(start: Start, base: Store) -> None:
    url, anna, ben = start(base), new_key(base), new_key(base, "ben")
    forms: list[dict[str, str]] = [
        bearer(anna),
        {"authorization": f"bearer  {anna}"},
        {"X-API-Key": anna},
        {"api-key": anna},
        {"Authorization": f"Bearer {anna}", "X-API-Key": anna},
        {"Authorization": "Basic bmdpbng6eA==", "X-API-Key": anna},
    ]
    for headers in forms:
        assert httpx.post(url + CHAT, json=BODY, headers=headers).status_code == 200, headers
    two: list[Any] = [
        {"Authorization": f"Bearer {anna}", "X-API-Key": ben},
        {"Authorization": f"Bearer {anna}", "api-key": "x"},
        [("X-API-Key", anna), ("X-API-Key", ben)],
    ]
    for headers in two:
        answer = httpx.post(url + CHAT, json=BODY, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "two_keys")


@pytest.mark.parametrize(
    "secret", ["", "x", "dd_", "dd_0123456789ab_" + "A" * 43, "' OR 1=1 --", "dd_' OR '1'='1_" + "A" * 43, "é" * 50]
)
def test_what_is_no_key_is_refused(start: Start, base: Store, secret: str) -> None:
    new_key(base)
    headers = {"X-API-Key": secret.encode()}
    answer = httpx.post(start(base) + CHAT, json=BODY, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.json()["error"]["code"] == ("invalid_key" if secret else "missing_key")


def test_a_key_with_a_wrong_secret_is_refused(start: Start, base: Store) -> None:
    secret = new_key(base)
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    assert httpx.post(start(base) + CHAT, json=BODY, headers=bearer(wrong)).status_code == 401


def test_a_revoked_key_is_refused_by_a_running_gateway_and_a_new_one_works_at_once(
    start: Start, base: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "REFRESH_S", 0.0)  # two seconds, in life
    monkeypatch.setattr(keyring, "NEW_KEY_S", 0.0)
    url, anna = start(base), new_key(base)
    assert httpx.get(f"{url}/v1/models", headers=bearer(anna)).status_code == 200
    with base.writing() as db:
        keys.revoke(db, "anna")
    assert httpx.get(f"{url}/v1/models", headers=bearer(anna)).status_code == 401
    assert httpx.get(f"{url}/v1/models").status_code == 401  # revoking the last key opens nothing
    assert httpx.get(f"{url}/v1/models", headers=bearer(new_key(base, "ben"))).status_code == 200


def test_web_pages_of_other_sites_use_no_gateway_without_keys(start: Start, base: Store) -> None:
    url = start(base)
    reload = f"{url}/v1/admin/reload"
    for origin in ("https://evil.test", "null", "http://127.0.0.1:1", "http://localhost"):
        refused = httpx.post(reload, headers={"Origin": origin})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cross_site"), origin
    assert httpx.post(reload, headers={"Origin": url}).json()["error"]["code"] == "not_served"  # let in
    assert httpx.post(reload).json()["error"]["code"] == "not_served"
    own = {"cors_origins": ("https://help.test",), "public_url": "https://docs.test/"}
    told = start(base, **own)
    everyone = httpx.post(reload.replace(url, start(base, cors_origins=("*",))), headers={"Origin": "https://x.test"})
    assert everyone.json()["error"]["code"] == "not_served"
    for origin in ("https://help.test", "https://docs.test"):
        assert httpx.post(f"{told}/v1/search", json={"query": "port"}, headers={"Origin": origin}).status_code == 200


def test_names_that_look_like_this_machine_are_not(start: Start, base: Store) -> None:
    url = start(base)
    for host in ("127.evil.test", "127.0.0.1.evil.test:7860", "127.0.0.256", "localhost.evil.test"):
        assert httpx.get(f"{url}/v1/admin/nothing", headers={"Host": host}).status_code == 403, host
    for host in ("LOCALHOST", "127.0.0.1:80", "[::ffff:127.0.0.1]:7860"):
        assert httpx.get(f"{url}/v1/admin/nothing", headers={"Host": host}).status_code == 404, host


def test_who_comes_from_elsewhere_without_a_key_sees_no_conversations_of_this_machine(
    start: Start, base: Store
) -> None:
    url = start(base)
    httpx.post(f"{url}/v1/conversations", json={"title": "mine"}).raise_for_status()
    assert len(httpx.get(f"{url}/v1/conversations").json()["data"]) == 1
    assert httpx.get(f"{url}/v1/conversations", headers={"Host": "evil.test"}).json()["data"] == []


def test_only_the_hash_is_kept(base: Store, tmp_path: Path) -> None:
    secret = new_key(base)
    base.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("docduet.sqlite*"))
    assert keys.hash_of(secret).encode() in kept
    assert secret.encode() not in kept
    assert secret.split("_", 2)[2].encode() not in kept
    assert len({new_key(open_store(tmp_path / str(n))) for n in range(3)}) == 3


def test_roles(start: Start, base: Store) -> None:
    url = start(base, metrics_without_key="never")
    staff, service, admin = (new_key(base, role, role) for role in ("staff", "service", "admin"))
    for secret in (staff, service):
        assert httpx.get(f"{url}/v1/models", headers=bearer(secret)).status_code == 200
        for path in ("/v1/admin", "/v1/admin/sources", "/metrics"):
            answer = httpx.get(url + path, headers=bearer(secret))
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "admins_only")
            assert answer.json()["error"]["type"] == "permission_error"
    assert httpx.get(f"{url}/metrics").status_code == 403
    assert httpx.get(f"{url}/metrics", headers=bearer(admin)).status_code == 200
    assert httpx.get(f"{url}/v1/admin/nothing", headers=bearer(admin)).status_code == 404
    assert httpx.get(f"{url}/v1/admin/nothing").status_code == 401


def test_metrics_without_a_key_from_this_machine_only(start: Start, base: Store) -> None:
    new_key(base)
    url = start(base)
    assert httpx.get(f"{url}/metrics").status_code == 200
    assert httpx.get(f"{url}/metrics", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403
    assert httpx.get(f"{start(base, metrics_without_key='always')}/metrics", headers={"Forwarded": "for=x"}).is_success


def test_what_is_open_and_what_is_not(start: Start, base: Store) -> None:
    secret, url = new_key(base), start(base)
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{url}/readyz").json() == {"ready": True}
    assert "parts" in httpx.get(f"{url}/readyz", headers=bearer(secret)).json()
    for path in ("/v1/models", "/v1/labels", "/v1/openapi.json", "/pages/0123456789abcdef", "/", "/config", "/v1"):
        assert httpx.get(url + path).status_code == 401, path
    for path in (CHAT, "/v1/search", "//v1/chat/completions", "/V1/chat/completions", "/v1/%63hat/completions"):
        assert httpx.post(url + path, json=BODY).status_code == 401, path


def test_without_any_key_this_machine_is_open_and_any_api_key_will_do(start: Start, base: Store) -> None:
    url = start(base)
    assert httpx.post(url + CHAT, json=BODY).status_code == 200
    assert httpx.post(url + CHAT, json=BODY, headers=bearer("unused")).status_code == 200
    assert "parts" in httpx.get(f"{url}/readyz").json()
    assert httpx.get(f"{url}/v1/admin/nothing").status_code == 404


def test_without_any_key_nobody_administers_through_a_proxy_or_by_another_name(start: Start, base: Store) -> None:
    url = start(base)
    for headers in ({"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "203.0.113.9"}, {"Host": "evil.test"}):
        assert httpx.get(f"{url}/v1/admin/nothing", headers=headers).status_code == 403
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200
    for host in ("localhost:7860", "[::1]:7860", "127.0.0.1"):
        assert httpx.get(f"{url}/v1/admin/nothing", headers={"Host": host}).status_code == 404


def test_who_asks(start: Start, base: Store) -> None:
    url = start()
    here = {"object": "user", "user": "local", "name": "", "role": "admin", "sign_in": ""}
    assert httpx.get(f"{url}/v1/me").json() == here
    elsewhere = here | {"user": "elsewhere", "role": "staff"}
    for headers in ({"X-Forwarded-For": "192.0.2.7"}, bearer("elsewhere")):  # the last: what the chat app says for them
        assert httpx.get(f"{url}/v1/me", headers=headers).json() == elsewhere
    url, anna = start(base), bearer(new_key(base))
    with_key = {"object": "user", "user": "anna", "name": "anna", "role": "staff", "sign_in": "key"}
    assert httpx.get(f"{url}/v1/me", headers=anna).json() == with_key
    assert httpx.get(f"{url}/v1/me", headers=bearer("elsewhere")).status_code == 401


async def test_the_chat_app_asks_as_whoever_it_is_for() -> None:
    """On a gateway without keys, by its own connection from this machine."""
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope["headers"]))

    config, nobody = ServingConfig(), Any
    keyring: Any = AnyKey()
    access = Access(app, config, keyring, keyring, keyring)
    for host, extra, told in (
        (b"127.0.0.1:7860", [], None),
        (b"docs.example.com", [], b"Bearer elsewhere"),
        (b"127.0.0.1:7860", [(b"x-forwarded-for", b"192.0.2.7")], b"Bearer elsewhere"),
        (b"docs.example.com", [(b"authorization", b"Basic eDp5")], b"Bearer elsewhere"),
    ):
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/gradio_api/queue/join",
            "headers": [(b"host", host), *extra],
        }
        await access(scope, nobody, nobody)
        assert seen[-1].get(b"authorization") == told


class AnyKey:
    """A keyring without keys."""

    async def any(self) -> bool:
        return False

    async def find(self, secret: str) -> None:
        return None


def test_an_address_that_others_reach_asks_for_keys_unless_told_not_to(start: Start, base: Store) -> None:
    assert httpx.get(f"{start(base, host='0.0.0.0')}/v1/models").status_code == 401
    assert httpx.get(f"{start(base, require_keys='always')}/v1/models").status_code == 401
    told = start(base, host="0.0.0.0", require_keys="never")
    assert httpx.get(f"{told}/v1/models").status_code == 200
    assert httpx.get(f"{told}/v1/admin/nothing").status_code == 403  # open to all is nobody's administrator


def test_a_gateway_that_others_reach_does_not_start_without_a_key(base: Store) -> None:
    url = str(base.engine.url)
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        check_reach(ServingConfig(host=host), url)
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org"):
        with pytest.raises(ConfigError, match=r"docduet keys create NAME.*--insecure-open"):
            check_reach(ServingConfig(host=host), url)
        check_reach(ServingConfig(host=host, require_keys="never"), url)
    new_key(base)
    check_reach(ServingConfig(host="0.0.0.0"), url)
    with base.writing() as db:
        keys.revoke(db, "anna")
    with pytest.raises(ConfigError):
        check_reach(ServingConfig(host="0.0.0.0"), url)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    run = CliRunner().invoke
    made = run(app, ["keys", "create", "anna", "--role", "admin", "--concurrent", "2", "--json"])
    key = json.loads(made.stdout)
    assert key["limits"] == {"concurrent": 2}
    assert run(app, ["keys", "create", "ben"]).stdout.startswith("dd_")
    listed = run(app, ["keys", "list", "--json"])
    assert [(k["name"], k["role"]) for k in json.loads(listed.stdout)] == [("anna", "admin"), ("ben", "staff")]
    assert key["key"] not in listed.stdout
    assert key["key"].split("_", 2)[2] not in run(app, ["keys", "list"]).stdout
    assert json.loads(run(app, ["keys", "revoke", key["id"], "--json"]).stdout)[0]["revoked_at"]
    again = run(app, ["keys", "revoke", key["id"]])
    assert again.exit_code == 1
    assert "docduet keys list" in str(again.exception)
    assert run(app, ["keys", "create", "x", "--role", "king"]).exit_code == 1
    assert run(app, ["keys", "create", "a\nb"]).exit_code == 1


def test_serve_says_what_is_missing_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    served = CliRunner().invoke(app, ["serve", "--host", "0.0.0.0", "--port", "0", "--no-ui"])
    assert served.exit_code == 1
    assert "docduet keys create NAME --role admin" in str(served.exception)


FROM_A_NEIGHBOUR = {"Origin": "https://wiki.docs.test", "Sec-Fetch-Site": "same-site", "X-Forwarded-For": "10.0.0.7"}
"""As a proxy passes it on, which may have changed the host."""


def test_signing_in_with_a_key(start: Start, base: Store) -> None:
    secret, url = new_key(base), start(base)
    with httpx.Client(base_url=url) as client:
        sent = client.get("/?q=1", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2F%3Fq%3D1")
        page = client.get(sent.headers["location"])
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
        assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}';" in policy
        wrong = client.post("/sign-in", data={"key": "dd_wrong", "next": "/"})
        assert (wrong.status_code, wrong.cookies.get(doors.COOKIE)) == (401, None)
        right = client.post("/sign-in", data={"key": f" {secret} ", "next": "//evil.test"})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        cookie = right.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/"))
        assert "Secure" not in cookie
        assert client.get("/pages/0123456789abcdef").status_code == 404  # let in; there is no such page
        assert client.post(CHAT, json=BODY).status_code == 401  # the cookie is not for the API
        for neighbour in ({"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}, FROM_A_NEIGHBOUR):
            for ask in (client.get, client.post):
                crossed = ask("/pages/0123456789abcdef", headers=neighbour)
                assert (crossed.status_code, crossed.json()["error"]["code"]) == (403, "cross_site"), neighbour
        followed = client.get("/pages/0123456789abcdef", headers={"Sec-Fetch-Site": "cross-site"})
        assert followed.status_code == 404  # a link
        assert client.get("/pages/0123456789abcdef", headers={"Origin": url}).status_code == 404
        assert client.get("/sign-in").status_code == 303
        client.post("/sign-out")
        assert client.get("/pages/0123456789abcdef").status_code == 401
    https = httpx.post(f"{url}/sign-in", data={"key": secret}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in https.headers["set-cookie"]
    for path in ("/sign-in", "/sign-out"):
        crossed = httpx.post(url + path, data={"key": secret}, headers={"Sec-Fetch-Site": "cross-site"})
        assert crossed.status_code == 403
        assert "set-cookie" not in crossed.headers
    assert (
        httpx.post(f"{url}/sign-in", data={"key": secret}, headers={"Origin": "https://evil.test"}).status_code == 403
    )
    assert httpx.post(f"{url}/sign-in", data={"key": "x" * 9000}).status_code == 413


@pytest.mark.parametrize(
    "target", ["//evil.test", "https://evil.test", "/\\evil.test", "evil", "", "/a\r\nSet-Cookie: x=y", "\\\\evil.test"]
)
def test_signing_in_leads_nowhere_else(target: str) -> None:
    assert local(target) == "/"
    assert local(f"{target}#{'x' * doors.MAX_BACK}") == "/"


@pytest.mark.parametrize("target", ["/pages/ab?quote=x%20y", "/#chat/conv_1", "/#//evil.test", "/#javascript:alert(1)"])
def test_signing_in_leads_back(target: str) -> None:
    assert local(target) == target


def test_of_an_address_that_is_too_long_the_page_is_kept() -> None:
    quoted = f"/pages/ab?quote={quote('端口' * 400)}"
    assert local(quoted) == "/pages/ab"
    assert local(f"/#{'x' * doors.MAX_BACK}") == "/"
    assert local(f"/{'x' * doors.MAX_BACK}") == "/"


@pytest.mark.parametrize("target", ["//[", "//\u2100", "http://[", "https://evil.test/"])
def test_a_long_address_that_cannot_be_read_leads_to_the_front_page(target: str) -> None:
    assert local(target + "x" * doors.MAX_BACK) == "/"
    assert local(f"{target}?{'x' * doors.MAX_BACK}") == "/"


def test_a_key_given_on_the_command_line_reaches_the_gateway(start: Start, base: Store) -> None:
    secret, url = new_key(base), start(base)
    asked = ["ask", "Which port?", "--model", "base", "--url", url, "--json"]
    run = CliRunner().invoke
    refused = run(app, asked)
    assert refused.exit_code == 1
    assert "docduet keys create" in str(refused.exception)
    for more, env in ((["--key", secret], {}), ([], {"DOCDUET_API_KEY": secret})):
        answer = run(app, [*asked, *more], env=env)
        assert "7860" in json.loads(answer.stdout)["answer"]

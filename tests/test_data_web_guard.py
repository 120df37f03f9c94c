"""What must never be fetched is not, however it is spelled; what is allowed by name is, and nothing beside it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.config import DataConfig
from data.errors import RefusedAddress
from data.store import PageStore
from data.sync import sync_source
from data.web.fetch import FailedFetch, Fetcher
from data.web.guard import check, is_public, resolve
from tests.site_server import SiteServer, page, redirect


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with SiteServer() as server:
        yield server


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://printer.local/",
        "http://metadata.google.internal/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://172.16.5.4/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[ff02::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://１２７.0.0.1/",
        "http://127。0。0。1/",
        "http://ⓛocalhost/",
    ],
)
def test_private_addresses_in_every_spelling(url: str) -> None:
    with pytest.raises(RefusedAddress):
        check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://a\\@b/",
        "http://a@b/",
        "http://a#@b/",
        "http://a?@b/",
        "http://user:secret@docs.example.com/",
        "http://docs.example.com\\.evil.example/",
        "http://docs.exa\tmple.com/",
        "http://docs.example.com/\nHost: evil",
        "http://docs.example.com /",
        "http://docs.example.com%2eevil.example/",
        "http://docs.example.com:80:80/",
        "http://docs.example.com:99999/",
        "http://[::1/",
        "http://[::1%25lo]/",
        "http:///etc/passwd",
        "http:docs.example.com",
        "//docs.example.com/",
        "file:///etc/passwd",
        "ftp://docs.example.com/",
        "gopher://docs.example.com/",
        "javascript:alert(1)",
        "http://-oops.example/",
        "http://docs..example.com/",
        "http://docs.example.com/" + "a" * 2000,
    ],
)
def test_addresses_that_have_two_readings_or_none(url: str) -> None:
    with pytest.raises(RefusedAddress):
        check(url, allow=("a", "b", "evil.example"))


@pytest.mark.parametrize("port", [22, 25, 5432, 6379, 8080, 8443])
def test_odd_ports(port: int) -> None:
    with pytest.raises(RefusedAddress, match=rf'port {port}.*allow_hosts = \["docs.example.com:{port}"\]'):
        check(f"https://docs.example.com:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.example.com/a%20b?x=1",
        "http://DOCS.example.com",
        "https://docs.example.com:443/",
        "http://8.8.8.8/",
        "http://[2001:4860:4860::8888]/",
        "https://xn--bcher-kva.example/",
    ],
)
def test_public_addresses_pass(url: str) -> None:
    assert check(url).url == url


def test_allowed_by_name_means_that_host_and_port_exactly() -> None:
    allow = ("127.0.0.1:8123", "intranet", "[::1]:9000")
    assert check("http://127.0.0.1:8123/x", allow).allowed
    assert check("https://intranet/", allow).allowed
    assert check("http://[::1]:9000/", allow).allowed
    for url in ("http://127.0.0.1:8124/", "http://127.0.0.2:8123/", "http://intranet:8080/", "http://0x7f.1:8123/"):
        with pytest.raises(RefusedAddress):
            check(url, allow)


@given(st.ip_addresses(v=4))
@example(ipaddress.IPv4Address("127.0.0.1"))
@example(ipaddress.IPv4Address("10.1.2.3"))
def test_never_looser_than_the_standard_library(address: ipaddress.IPv4Address) -> None:
    """A second opinion, also for every way to wrap an IPv4 address in an IPv6 one: those are never public."""
    if not address.is_global or address.is_multicast:
        assert not is_public(address)
    number = int(address)
    for prefix in ("::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "::"):
        assert not is_public(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number))
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) + (number << 80)))


@given(st.ip_addresses(v=6))
def test_never_looser_than_the_standard_library_in_ipv6(address: ipaddress.IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not is_public(address)


def fetch(url: str, allow: tuple[str, ...] = ()) -> int:
    async def run() -> int:
        async with Fetcher(DataConfig(retries=0, allow_hosts=allow, requests_per_second=1000)) as fetcher:
            return (await fetcher.follow(url)).status

    return asyncio.run(run())


def test_a_public_name_with_a_private_address_is_not_connected_to(
    site: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name passes every check of its text; the connection is refused, for the port as for the usual one."""
    site["/"] = page("Secret")
    real = socket.getaddrinfo

    def lie(host: str, port: object, *args: object, **kwargs: object) -> object:
        return real("127.0.0.1", port, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", lie)
    for url in ("http://docs.example.com/", "https://docs.example.com/"):
        with pytest.raises(RefusedAddress, match=r"docs.example.com leads to the private address 127.0.0.1"):
            fetch(url)
    with pytest.raises(RefusedAddress, match="private address"):
        resolve(check("https://docs.example.com/"))
    assert fetch(f"http://docs.example.com:{site.port}/", (f"docs.example.com:{site.port}",)) == 200
    assert site.requests.total() == 1


def test_a_name_that_changes_its_mind_is_asked_once_for_each_connection(
    site: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the answer that was checked is the one that is used; the second answer is checked again."""
    site["/"] = page("Secret")
    real = socket.getaddrinfo
    answers = iter(["93.184.215.14", "127.0.0.1"])
    asked: list[str] = []

    def rebind(host: str, port: object, *args: object, **kwargs: object) -> object:
        asked.append(host)
        return real(next(answers), port, *args, **kwargs)  # type: ignore[arg-type]

    async def no_connection(*args: object, **kwargs: object) -> object:
        connected.append(str(kwargs["addr_infos"]))
        raise OSError("no route")

    connected: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", no_connection)
    with pytest.raises(FailedFetch):
        fetch("http://docs.example.com/")
    assert len(asked) == 1
    assert "93.184.215.14" in connected[0]
    with pytest.raises(RefusedAddress, match="private"):
        fetch("http://docs.example.com/")
    assert len(connected) == 1


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{other}/", "http://localhost:{other}/", "file:///etc/passwd", "//[::1]/"]
)
def test_every_redirect_is_checked(site: SiteServer, target: str) -> None:
    with SiteServer() as other:
        other["/"] = page("Secret")
        site["/"] = redirect(target.format(other=other.port))
        with pytest.raises(RefusedAddress):
            fetch(f"{site.url}/", (site.host,))
        assert not other.requests


def test_a_crawl_does_not_leave_its_host(site: SiteServer, tmp_path: Path) -> None:
    with SiteServer() as other:
        other["/"] = page("Secret")
        hostile = f"http://{site.host}\\@{other.host}/"
        site["/"] = page("Start", other.url, hostile, f"//{other.host}/", "/away", "http://169.254.169.254/latest")
        site["/away"] = redirect(f"{other.url}/")
        site["/robots.txt"] = f"Sitemap: {other.url}/sitemap.xml\n"
        config = DataConfig(allow_hosts=(site.host,), retries=0, requests_per_second=1000)
        report = sync_source(f"{site.url}/", PageStore(tmp_path / "pages.sqlite"), config)
        assert report.added == [f"{site.url}/"]
        assert not other.requests


def test_no_proxy_from_the_environment(site: SiteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with SiteServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        site["/"] = page("Start")
        assert fetch(f"{site.url}/", (site.host,)) == 200
        assert not proxy.requests

"""Which addresses may be fetched: the one door that every request and every redirect goes through.

    target = check("https://docs.example.com/guide", allow=())      # by its text alone
    session = aiohttp.ClientSession(connector=connector(allow))     # connects only to addresses that passed

A crawler runs inside the network and follows what strangers write, so links to metadata services, routers or databases
are refused. The text is checked first (`check`): one reading only, no private literal, usual ports. A name is resolved
for each new connection and the connection goes to the very address that was checked (`GuardedResolver`), so a name that
changes its mind between check and use gains nothing. TLS still verifies the name. Proxies of the environment are not
used.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from data.errors import RefusedAddress, UnreachableSource

if TYPE_CHECKING:
    from aiohttp import TCPConnector

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_URL = 2_000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_PUBLIC_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4"),
)
_PUBLIC_6 = "2000::/3"
_NOT_PUBLIC_6 = ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
"""Inside 2000::/3: Teredo and other special uses, documentation, 6to4. All else (loopback, ULA fc00::/7, link-local,
multicast, IPv4-mapped ::ffff:0:0/96, NAT64 64:ff9b::/96 and 64:ff9b:1::/48) lies outside of it. IANA's special-purpose
registries, https://www.iana.org/assignments/iana-ipv6-special-registry."""


@dataclass(frozen=True)
class Target:
    """An address that passed: ``url`` is what may be requested, ``allowed`` that its host:port was allowed by name."""

    url: str
    scheme: str
    host: str
    port: int
    allowed: bool


def check(url: str, allow: Collection[str] = ()) -> Target:
    """The only reading of ``url``; RefusedAddress, with the reason, where it has several or leads where it must not.

    ``allow``: hosts allowed by name, as ``host`` (usual ports) or ``host:port``; IPv6 as ``[::1]:8080``.
    """
    if len(url) > _MAX_URL:
        raise RefusedAddress(f"{url[:80]}...: longer than {_MAX_URL} characters")
    if re.search(r"[\x00-\x20\x7f-\xa0\\]", url):
        raise RefusedAddress(f"{url!r}: spaces, control characters and backslashes have no place in an address")
    scheme, host, port = _parts(url)
    host = _plain_host(url, host)
    named = f"[{host}]" if ":" in host else host
    usual = port == _DEFAULT_PORTS[scheme]
    allowed = f"{named}:{port}" in allow or (usual and named in allow)
    if not allowed:
        hint = _hint(named if usual else f"{named}:{port}")
        if port not in _DEFAULT_PORTS.values():
            raise RefusedAddress(f"{url}: port {port} is not fetched; {hint}")
        literal = _literal(host)
        if (literal and not is_public(literal)) or _is_local_name(host):
            raise RefusedAddress(f"{url}: a private or special address is not fetched; {hint}")
    return Target(url, scheme, host, port, allowed)


def _parts(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) where urllib and yarl, which makes the request, agree; RefusedAddress where they do not."""
    from yarl import URL

    try:
        ours, theirs = urlsplit(url), URL(url, encoded=True)
        scheme, host = ours.scheme.lower(), ours.hostname or ""
        port = _DEFAULT_PORTS.get(scheme, 0) if ours.port is None else ours.port
        agreed = (theirs.scheme, (theirs.raw_host or "").lower(), theirs.port) == (scheme, host, port)
    except ValueError:
        raise RefusedAddress(f"{url}: not a valid address") from None
    if scheme not in _DEFAULT_PORTS:
        raise RefusedAddress(f"{url}: only http and https are fetched")
    if re.match(r"[^/]*//[^/]*@", url):  # also http://a#@b and http://a?@b, which some read as host b
        raise RefusedAddress(f"{url}: no user names in addresses")
    if not host or not agreed:
        raise RefusedAddress(f"{url}: programs disagree about where this address leads")
    return scheme, host, port


def _plain_host(url: str, host: str) -> str:
    """The host in ASCII; RefusedAddress where it is no host name or an IPv4 address in disguise (``0x7f.1``)."""
    if ":" in host:
        if "%" in host or _literal(host) is None:
            raise RefusedAddress(f"{url}: not a valid IPv6 address")
        return host
    host = host.removesuffix(".")
    if not host.isascii() or not re.fullmatch(r"(?!-)[a-z0-9_-]+(\.(?!-)[a-z0-9_-]+)*", host):
        raise RefusedAddress(f"{url}: not a valid host name (international ones are written as xn--...)")
    last = host.rpartition(".")[2]
    if re.fullmatch(r"\d+|0x[0-9a-f]*", last) and _literal(host) is None:
        raise RefusedAddress(f"{url}: not a valid IPv4 address; write it as four decimal numbers")
    return host


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_local_name(host: str) -> bool:
    return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


@cache
def _networks() -> tuple[list[ipaddress.IPv4Network], ipaddress.IPv6Network, list[ipaddress.IPv6Network]]:
    return (
        [ipaddress.IPv4Network(text) for text in _NOT_PUBLIC_4],
        ipaddress.IPv6Network(_PUBLIC_6),
        [ipaddress.IPv6Network(text) for text in _NOT_PUBLIC_6],
    )


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet and stands for itself (no IPv4 address wrapped in it)."""
    not_public_4, public_6, not_public_6 = _networks()
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in not_public_4)
    return address in public_6 and not any(address in network for network in not_public_6)


def resolve(target: Target) -> list[str]:
    """The addresses of a checked target, for programs that connect by themselves; each of them was checked."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnreachableSource(f"{target.url}: the name {target.host} cannot be resolved ({error.strerror})") from None
    addresses = [str(entry[4][0]) for entry in found]
    refuse_private(target.host, target.port, addresses, target.allowed)
    return addresses


def refuse_private(host: str, port: int, addresses: Collection[str], allowed: bool) -> None:
    """RefusedAddress when any address of a name is private: a public site has none such."""
    private = [address for address in addresses if not is_public(ipaddress.ip_address(address.partition("%")[0]))]
    if private and not allowed:
        named = host if port in _DEFAULT_PORTS.values() else f"{host}:{port}"
        raise RefusedAddress(f"{host} leads to the private address {private[0]}, which is not fetched; {_hint(named)}")


def _hint(named: str) -> str:
    return f'allow it by name if it is meant: `docduet data sync --allow {named}`, or [data] allow_hosts = ["{named}"]'


def connector(allow: Collection[str], limit: int) -> TCPConnector:
    """An aiohttp connector that resolves each host for each connection and connects to what was checked."""
    from aiohttp import TCPConnector
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class GuardedResolver(AbstractResolver):
        """The system's resolver; what leads to a private address is refused."""

        def __init__(self) -> None:
            self.inner = ThreadedResolver()

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found = await self.inner.resolve(host, port, family)
            name = host.removesuffix(".")
            allowed = f"{name}:{port}" in allow or (port in _DEFAULT_PORTS.values() and name in allow)
            refuse_private(host, port, [entry["host"] for entry in found], allowed)
            return found

        async def close(self) -> None:
            await self.inner.close()

    return TCPConnector(
        resolver=GuardedResolver(), use_dns_cache=False, limit=limit, limit_per_host=limit, family=socket.AF_UNSPEC
    )

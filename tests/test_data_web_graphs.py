"""Random sites that change, against a plain reading of the rules: every page that can be reached is stored, once, as it
is now; and a sync of a site that has not changed changes nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.config import DataConfig
from data.store import PageStore
from data.sync import sync_source
from tests.site_server import SiteServer, page, redirect

KINDS = {"page": 8, "redirect": 2, "canonical": 2, "gone": 1, "noindex": 1}


@dataclass(frozen=True)
class Node:
    """One address of a random site. ``target`` is where its redirect or canonical link leads."""

    kind: str
    target: int
    links: tuple[int, ...]
    version: int = 0


def random_node(chance: random.Random, number: int, size: int) -> Node:
    links = [chance.randrange(size) for _ in range(chance.randrange(4))]
    if number + 1 < size and chance.random() < 0.8:
        links.append(number + 1)
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0] if number else "page"
    return Node(kind, chance.randrange(size), tuple(links), chance.randrange(1000))


def serve(site: SiteServer, nodes: list[Node]) -> None:
    site["/"] = page("Home", "/p0")
    for number, node in enumerate(nodes):
        head = {
            "canonical": f'<link rel="canonical" href="/p{node.target}">',
            "noindex": '<meta name="robots" content="noindex">',
        }
        shown = page(
            f"{number} version {node.version}", *(f"/p{link}" for link in node.links), head=head.get(node.kind, "")
        )
        answers = {"redirect": redirect(f"/p{node.target}"), "gone": 404}
        site[f"/p{number}"] = answers.get(node.kind, shown)


def reachable(nodes: list[Node]) -> set[int]:
    """What a reader finds from the home page; no chain of redirects in a site this small is too long."""
    seen: set[int] = set()
    left = [0]
    while left:
        number = left.pop()
        node = nodes[number]
        if number not in seen and node.kind != "gone":
            left += [node.target] if node.kind == "redirect" else node.links
            left += [node.target] if node.kind == "canonical" else []
        seen.add(number)
    return seen


def represented(nodes: list[Node], number: int, stored: set[int]) -> bool:
    """Whether a page is stored, or what it stands for by canonical links and redirects."""
    for _ in range(len(nodes) + 1):
        if number in stored:
            return True
        if nodes[number].kind not in ("canonical", "redirect"):
            return False
        number = nodes[number].target
    return False


@pytest.mark.parametrize("seed", range(8))
def test_a_random_site_that_changes(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    size = chance.randrange(3, 10)
    nodes = [random_node(chance, number, size) for number in range(size)]
    store = PageStore(tmp_path / "pages.sqlite")
    with SiteServer() as site:
        config = DataConfig(requests_per_second=10_000, retries=0, concurrency=3, allow_hosts=(site.host,))
        for _ in range(3):
            serve(site, nodes)
            sync_source(site.url, store, config, prune=True)
            titles = {found.url.rpartition("/p")[2]: found.title for found in store.pages() if "/p" in found.url}
            stored = {int(number) for number in titles}
            found = reachable(nodes)
            plain = {number for number in found if nodes[number].kind == "page"}
            standing_in = {number for number in found if nodes[number].kind == "canonical"}
            assert plain <= stored <= plain | standing_in
            assert not [n for n in standing_in & stored if nodes[n].target in plain]
            assert all(represented(nodes, number, stored) for number in standing_in)
            assert all(title == f"{n} version {nodes[int(n)].version}" for n, title in titles.items())
            assert sync_source(site.url, store, config, prune=True).touched is False
            for _ in range(chance.randrange(1, 4)):
                number = chance.randrange(1, size)
                nodes[number] = random_node(chance, number, size)

"""Embedding on a Ray cluster gives the same index as embedding here; the cluster of the `real` tests has two nodes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rag.cache
from data.errors import ClusterError, ConfigError
from data.handbook import FOLDER
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.cache import EmbeddingCache
from rag.config import RagConfig
from rag.embed import load_embedder
from rag.generation import IndexGeneration
from rag.ray_job import _workers, embed_on_ray
from tests.fakes import HashedWords
from tests.ray_workers import Fragile, remembered

REPO = Path(__file__).parents[1]
CONFIG = RagConfig()
CLIENT_PORT = 10061


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of two nodes with one CPU each, on which DocDuet can be imported; one serves Ray's client."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPO))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "180")  # its server starts slowly on a busy machine
        started = Cluster(initialize_head=True, head_node_args=node | {"ray_client_server_port": CLIENT_PORT})
        started.add_node(**{key: value for key, value in node.items() if key != "include_dashboard"})
        started.wait_for_nodes()
        yield started.address
        started.shutdown()


def pages(n: int = 60) -> list[Page]:
    return [Page(f"{i}.md", f"Page {i}", f"# Section\n\nThe answer is number{i}.") for i in range(n)]


def vectors(generation: IndexGeneration) -> Any:
    return generation.matrix


@pytest.mark.real
@pytest.mark.timeout(900)
def test_two_nodes_give_the_identical_index(
    home: Home, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.cache, "GROUP", 16)
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    handbook = [Page(path.name, path.stem, path.read_text(encoding="utf-8")) for path in FOLDER.glob("en/*.md")]
    load = partial(remembered, partial(load_embedder, "minilm"), str(nodes))
    reported: list[tuple[str, int, int]] = []
    farmed = build_index(
        handbook, home, CONFIG, lambda *step: reported.append(step), farm=partial(embed_on_ray, cluster, load)
    )
    alone = build_index(handbook, Home(tmp_path / "alone"), CONFIG)
    assert len(list(nodes.iterdir())) == 2
    assert farmed.manifest.key == alone.manifest.key
    assert farmed.timings["embedded"] == alone.timings["embedded"] > 100
    assert np.array_equal(vectors(farmed), vectors(alone))
    everything = range(alone.info.chunks)
    assert farmed.rows(everything) == alone.rows(everything)
    done = [done for stage, done, _ in reported if stage == "embed"]
    assert done == sorted(done)
    assert len(set(done)) > 5


@pytest.mark.real
@pytest.mark.timeout(900)
def test_the_command(tmp_path: Path, cluster: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ports\n\nThe port is 7860.\n")
    environment = os.environ | {"DOCDUET_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-m", "docduet"]
    subprocess.run([*command, "data", "sync", str(docs)], env=environment, check=True, cwd=tmp_path)
    ran = subprocess.run(
        [*command, "rag", "index", "--ray", cluster], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert "1 of them newly embedded" in ran.stdout
    assert "ray" not in ran.stderr.lower()  # its own noise


@pytest.mark.real
@pytest.mark.timeout(900)
def test_through_rays_client(home: Home, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.cache, "GROUP", 8)
    address = f"ray://127.0.0.1:{CLIENT_PORT}"
    farmed = build_index(
        pages(), home, CONFIG, embedder=HashedWords(), farm=partial(embed_on_ray, address, HashedWords)
    )
    alone = build_index(pages(), Home(tmp_path / "alone"), CONFIG, embedder=HashedWords())
    assert farmed.timings["embedded"] == 60
    assert np.array_equal(vectors(farmed), vectors(alone))


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_worker_that_dies_is_replaced(
    home: Home, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rag.cache, "GROUP", 8)
    died = tmp_path / "died"
    load = partial(Fragile, "number7.", str(died))
    farmed = build_index(pages(), home, CONFIG, embedder=HashedWords(), farm=partial(embed_on_ray, cluster, load))
    alone = build_index(pages(), Home(tmp_path / "alone"), CONFIG, embedder=HashedWords())
    assert died.exists()
    assert np.array_equal(vectors(farmed), vectors(alone))


@pytest.mark.real
@pytest.mark.timeout(900)
def test_a_job_that_fails_keeps_what_it_had(home: Home, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rag.cache, "GROUP", 8)
    load = partial(Fragile, "number59.")  # among the longest texts, which come last
    with pytest.raises(ClusterError, match=r"cannot be embedded.*What it had finished is kept"):
        build_index(pages(), home, CONFIG, embedder=HashedWords(), farm=partial(embed_on_ray, cluster, load))
    embedder = HashedWords()
    again = build_index(pages(), home, CONFIG, embedder=embedder)
    assert 0 < again.timings["embedded"] < 60
    assert len(embedder.embedded) == again.timings["embedded"]


@pytest.mark.real
@pytest.mark.timeout(900)
def test_another_model_on_a_node_is_told(home: Home, cluster: str) -> None:
    farm = partial(embed_on_ray, cluster, partial(HashedWords, "other"))
    with pytest.raises(ClusterError, match="put the same model on every node"):
        build_index(pages(), home, CONFIG, embedder=HashedWords(), farm=farm)


@pytest.mark.parametrize(
    ("nodes", "workers"),
    [
        ([{"CPU": 8.0}, {"CPU": 8.0}], (2, {"num_cpus": 8})),
        ([{"CPU": 4.0}, {"CPU": 16.0}, {"memory": 1.0}], (5, {"num_cpus": 4})),
        ([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], (2, {"num_gpus": 1})),
        ([], (1, {"num_cpus": 1})),
    ],
)
def test_a_worker_takes_a_node_or_a_gpu(nodes: list[dict[str, float]], workers: tuple[int, dict[str, int]]) -> None:
    assert _workers(nodes) == workers


def farm_out(home: Home, address: str) -> None:
    with EmbeddingCache(home.cache / "embeddings.sqlite") as cache:
        embed_on_ray(address, HashedWords, HashedWords(), cache, ["a text"], lambda done, total: None)


def test_nobody_listens_there(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ClusterError, match="cannot be reached"):
            farm_out(home, address)


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:1", "host:port", "ray://host"])
def test_no_address(home: Home, address: str) -> None:
    with pytest.raises(ConfigError, match="give auto, local"):
        farm_out(home, address)


def test_ray_is_not_installed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"docduet\[ray\]"):
        farm_out(home, "auto")


def test_nothing_to_embed_asks_no_cluster(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    build_index(pages(3), home, CONFIG, embedder=HashedWords())
    monkeypatch.setitem(sys.modules, "ray", None)
    farm = partial(embed_on_ray, "auto", HashedWords)
    again = build_index(pages(3)[:2], home, CONFIG, embedder=HashedWords(), farm=farm)
    assert again.timings["embedded"] == 0

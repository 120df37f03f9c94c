"""Embedding a large corpus on a Ray cluster, as a Ray Data job: what `docduet rag index --ray ADDRESS` runs.

Only the texts that the embedding cache lacks go out, in the cache's own groups; workers that each load the embedder
once give their vectors back, and this process commits group by group as they come. The ordinary build then finds
everything in the cache, so the index is the one it would have made alone, and a job that is killed pays for nothing
twice.

Every node needs DocDuet (the same version) and the embedder's files under the same name. Needs the `ray` extra.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from data.errors import ClusterError, ConfigError
from rag.cache import EmbeddingCache
from rag.embed import Embedder

_MAX_BLOCKS = 2000
_REACH_S = 5.0
"""A head that does not accept a connection after this is not there (seconds); Ray itself would wait for a minute."""


class EmbedGroups:
    """One worker of the job. Raises ConfigError where the worker's model is not the driver's."""

    def __init__(self, load: Callable[[], Embedder], fingerprint: str) -> None:
        self._embedder = load()
        if self._embedder.fingerprint != fingerprint:
            raise ConfigError(
                f"embedder {self._embedder.name!r} on {socket.gethostname()} has other files than on the machine that "
                "runs `docduet rag index`: put the same model on every node"
            )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """{"group": (n,), "texts": (n,) of lists} -> {"group": (n,), "vectors": (n,) of bytes, float32}."""
        vectors = [self._embedder.documents(list(texts)).tobytes() for texts in batch["texts"]]
        return {"group": batch["group"], "vectors": vectors}


def embed_on_ray(
    address: str,
    load: Callable[[], Embedder],
    embedder: Embedder,
    cache: EmbeddingCache,
    texts: Sequence[str],
    progress: Callable[[int, int], None],
) -> int:
    """Put the vectors that ``cache`` lacks of ``texts`` into it; returns how many were computed.

    ``address``: ``auto``, ``local``, ``HOST:PORT`` or ``ray://HOST:PORT``. ``load`` gives a worker its embedder and is
    pickled; ``embedder`` is this process's own, for its fingerprint. Raises ConfigError when Ray is not installed,
    ClusterError when the cluster cannot be reached, the job fails or a node has another model.
    """
    groups = cache.missing(embedder.fingerprint, texts)
    todo = sum(map(len, groups))
    done = len(texts) - todo
    progress(done, len(texts))
    if not groups:
        return 0
    with _connected(address):
        run = _job_there if address.startswith("ray://") else _job
        for number, vectors in run(groups, load, embedder.fingerprint):
            group = groups[number]
            cache.put(embedder.fingerprint, group, np.frombuffer(vectors, np.float32).reshape(len(group), -1))
            done += len(group)
            progress(done, len(texts))
    return todo


def _job(groups: list[list[str]], load: Callable[[], Embedder], fingerprint: str) -> Iterator[tuple[int, bytes]]:
    """(group's number, its vectors), in the order in which they are ready. Ray restarts workers that are lost."""
    import ray
    from ray.data import ActorPoolStrategy

    _hush()

    workers, share = _workers([node["Resources"] for node in ray.nodes() if node["Alive"]])
    rows = [{"group": number, "texts": group} for number, group in enumerate(groups)]
    embedded = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MAX_BLOCKS)).map_batches(
        EmbedGroups,
        fn_constructor_kwargs={"load": load, "fingerprint": fingerprint},
        batch_size=1,
        compute=ActorPoolStrategy(size=min(len(groups), workers)),
        **share,
    )
    for batch in embedded.iter_batches(batch_size=None, prefetch_batches=0):
        yield from zip(map(int, batch["group"]), batch["vectors"], strict=True)


def _workers(nodes: Sequence[dict[str, float]]) -> tuple[int, dict[str, Any]]:
    """How many workers, and what each takes: a GPU where there are any, else the CPUs of the smallest node.

    An embedder uses all cores that it has, so that a worker for each core would only get in the others' way.
    """
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if gpus:
        return gpus, {"num_gpus": 1}
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    smallest = min(cpus, default=1)
    return sum(cpu // smallest for cpu in cpus) or 1, {"num_cpus": smallest}


def _job_there(groups: list[list[str]], load: Callable[[], Embedder], fingerprint: str) -> Iterator[tuple[int, bytes]]:
    """`_job`, run by an actor on the cluster: Ray Data does not iterate through Ray's client."""
    import ray

    job: Any = ray.remote(num_cpus=0)(_Job)
    actor = job.remote(groups, load, fingerprint)
    while (ready := ray.get(actor.next.remote())) is not None:
        number, vectors = ready
        yield number, vectors


class _Job:
    def __init__(self, *what: Any) -> None:
        self._ready = _job(*what)

    def next(self) -> tuple[int, bytes] | None:
        return next(self._ready, None)


def _hush() -> None:
    """No bars and no lines of Ray's own: errors come as exceptions."""
    from ray.data import DataContext

    DataContext.get_current().enable_progress_bars = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """A connection to the cluster, quiet, closed at the end; Ray's failures as ClusterError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise ConfigError(f"--ray needs Ray ({error.name} is missing): pip install 'docduet[ray]'") from None
    _reach(address)
    try:
        with _quiet():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **_own(address))
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        ray.shutdown()
        raise ClusterError(_unreachable(address, error)) from error
    try:
        yield
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the embedding job on Ray cluster {address!r} failed: {_cause(error)}. What it had finished is kept: run "
            "`docduet rag index` again, with or without --ray"
        ) from error
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's native part greets on standard error, past sys.stderr; what fails comes as an exception all the same."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _own(address: str) -> dict[str, Any]:
    """For a cluster of our own: no dashboard."""
    return {"include_dashboard": False} if address == "local" else {}


def _reach(address: str) -> None:
    """Raises ConfigError for what is no address, ClusterError when nobody listens there."""
    if address in ("auto", "local"):
        return
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme not in ("", "ray"):
        raise ConfigError(f"--ray {address!r} is no address: give auto, local, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), timeout=_REACH_S).close()
    except OSError as error:
        raise ClusterError(_unreachable(address, error)) from None


def _unreachable(address: str, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    return (
        f"Ray cluster {address!r} cannot be reached ({reason}): check the address with `ray status`, start one with "
        "`ray start --head`, or leave --ray out to embed on this machine"
    )


def _cause(error: BaseException) -> str:
    """The error itself out of a worker's traceback, around which Ray puts advice."""
    named = re.findall(r"^\s*([\w.]*(?:Error|Exception)\b.*)$", str(error), flags=re.MULTILINE)
    own = [line for line in named if not line.startswith("ray.")]
    return (own or named or [type(error).__name__])[-1][:300]

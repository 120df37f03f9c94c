"""What the gateway costs: an engine asked directly, through DocDuet, and through LiteLLM's proxy, all in one run.

    python benchmarks/gateway.py [--rounds 3] [--seconds 4] [--streams 1000] [--skip-litellm]

The engine (benchmarks/fast_engine.py) answers in next to no time with 32 pieces or the whole; the client
(benchmarks/load.py) is the same for everybody; every server is one process. Measured in interleaved rounds: requests
per second with 8 at once, and the CPU time of each (robust where the machine is busy); latency at a fixed rate, from
when a request was due (100 a second; the arm that searches 20, since its search takes most of a core; LiteLLM 10,
since it does not come up to 100); slow streams, none of whose pieces wait for each other; streams held open all at
once, to their end. ``added`` is what an answer took beyond the engine alone (p50 of direct) and, for the arm that
searches, beyond ``searched``, what its search took by its own account. DocDuet joins pieces that reach it in one
read: ``pieces`` says how many the client got.

LiteLLM goes into a virtual environment of its own under ~/.cache/docduet-bench (kept); ``--litellm FOLDER`` takes one
that is there. Figures go to benchmarks/LOG.md by hand.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.load import Reply, Target, all_at_once, closed_loop, open_loop

LITELLM = "litellm[proxy]==1.106.2"  # 1.82.7 and 1.82.8 carried a credential stealer: never those
QUESTION = "Which port does the gateway listen on by default?"
AT_ONCE = 8
RATE = {"docduet rag": 20, "litellm proxy": 10}
MANY, PACE_MS = 16, 10
HOLD_MS = 1000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement of each round")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second of the fixed rate")
    parser.add_argument("--streams", type=int, default=1000, help="held open at the same time; 0: leave out")
    parser.add_argument("--skip-litellm", action="store_true")
    parser.add_argument("--litellm", type=Path, default=Path.home() / ".cache/docduet-bench/litellm")
    options = parser.parse_args()
    with ExitStack() as servers, tempfile.TemporaryDirectory(prefix="docduet-bench-") as temp:
        engine = free_port()
        servers.enter_context(running(python("fast_engine.py", "--port", str(engine)), engine, "/v1/models"))
        base = servers.enter_context(docduet(engine, Path(temp, "home")))
        targets = [Target("direct", engine, "base"), base, Target("docduet rag", base.port, "rag")]
        if not options.skip_litellm:
            targets.append(servers.enter_context(litellm(engine, options.litellm, Path(temp))))
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
        for stream in (False, True):
            uvloop.run(compare(targets, stream, options))
        uvloop.run(piece_by_piece([target for target in targets if target.model == "base"], options))
        if options.streams:
            uvloop.run(hold(base, options.streams))
        print(f"load average {os.getloadavg()[0]:.1f} at the end")


@dataclass
class Figures:
    """Of one target: requests a second and CPU milliseconds a request of each round, replies at the fixed rate."""

    per_second: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    failed: int = 0

    def take(self, replies: list[Reply | None]) -> list[Reply]:
        good = [reply for reply in replies if reply]
        self.failed += len(replies) - len(good)
        return good

    async def hurry(self, target: Target, request: bytes, at_once: int, seconds: float) -> list[Reply]:
        """As many requests as it can take."""
        spent = cpu_ms(target.port)
        replies, taken = await closed_loop(target, request, at_once, seconds)
        good = self.take(replies)
        self.per_second.append(len(good) / taken)
        self.cpu_ms.append((cpu_ms(target.port) - spent) / max(1, len(replies)))
        return good


async def compare(targets: list[Target], stream: bool, options: argparse.Namespace) -> None:
    """Rounds of all targets in turn, then a line for each."""
    figures = {target.name: Figures() for target in targets}
    for target in targets:
        await closed_loop(target, target.request(stream, QUESTION), AT_ONCE, 1.0)  # warm
    for _ in range(options.rounds):
        for target in targets:
            mine, request = figures[target.name], target.request(stream, QUESTION)
            await mine.hurry(target, request, AT_ONCE, options.seconds)
            rate = RATE.get(target.name, options.rate)
            mine.replies += mine.take(await open_loop(target, request, rate, options.seconds))
    show(figures, "streams of 32 pieces" if stream else "whole answers")


def show(figures: dict[str, Figures], kind: str) -> None:
    head = f"{kind:<22}{'per second':>11}{'CPU':>8}{'p50':>9}{'p99':>9}{'added p50':>11}{'p99':>9}{'first p50':>11}"
    print(f"\n{head}{'searched':>10}{'pieces':>8}{'failed':>8}   (ms)")
    floor = p50([reply.total for reply in figures["direct"].replies])
    for name, mine in figures.items():
        total = [reply.total for reply in mine.replies]
        beyond = [reply.total - reply.searched - floor for reply in mine.replies]
        first, searched = p50([reply.first for reply in mine.replies]), p50([reply.searched for reply in mine.replies])
        cells = [p50(mine.cpu_ms), p50(total), p99(total), p50(beyond), p99(beyond), first, searched]
        row = "".join(f"{cell:>{width}.2f}" for cell, width in zip(cells, (8, 9, 9, 11, 9, 11, 10), strict=True))
        pieces = p50([float(reply.pieces) for reply in mine.replies])
        print(f"{name:<22}{p50(mine.per_second):>11.0f}{row}{pieces:>8.0f}{mine.failed:>8}", flush=True)


async def piece_by_piece(targets: list[Target], options: argparse.Namespace) -> None:
    """Slow streams, so that every piece comes alone and nothing can be joined."""
    figures = {target.name: Figures() for target in targets}
    replies: dict[str, list[Reply]] = {target.name: [] for target in targets}
    for _ in range(options.rounds):
        for target in targets:
            request = target.request(True, QUESTION, PACE_MS)
            replies[target.name] += await figures[target.name].hurry(target, request, MANY, options.seconds)
    title = f"{MANY} streams at once, {PACE_MS} ms between pieces"
    print(f"\n{title}{'per second':>13}{'CPU ms':>9}{'pieces':>8}{'failed':>8}")
    for name, mine in figures.items():
        pieces = p50([float(reply.pieces) for reply in replies[name]])
        cells = f"{p50(mine.per_second):>13.0f}{p50(mine.cpu_ms):>9.2f}{pieces:>8.0f}{mine.failed:>8}"
        print(f"{name:<{len(title)}}{cells}", flush=True)


def p50(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else float("nan")


async def hold(target: Target, count: int) -> None:
    """``count`` streams under way at the same time."""
    request = target.request(True, QUESTION, HOLD_MS)
    before = memory_mb(target.port)
    started = time.perf_counter()
    replies = await all_at_once(target, request, count)
    good = [reply for reply in replies if reply]
    taken, floor = time.perf_counter() - started, 33 * HOLD_MS / 1000
    print(f"\n{count} streams at once: {len(good)} came to their end, {count - len(good)} failed, in {taken:.1f} s")
    late = [reply.total / 1000 - floor for reply in good]
    print(f"  later than the engine alone: p50 {p50(late):.2f} s, p99 {p99(late):.2f} s")
    print(f"  first byte: p50 {p50([r.first for r in good]):.1f} ms, p99 {p99([r.first for r in good]):.1f} ms")
    print(f"  memory of the gateway: {before:.0f} MB before, {memory_mb(target.port):.0f} MB after", flush=True)


def cpu_ms(port: int) -> float:
    """Processor time that the process we started on ``port`` has used."""
    fields = Path(f"/proc/{PIDS[port]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def memory_mb(port: int) -> float:
    """Resident memory of the process we started on ``port``."""
    status = Path(f"/proc/{PIDS[port]}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


PIDS: dict[int, int] = {}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name(script)), *arguments]


@contextmanager
def running(command: list[str], port: int, path: str, env: dict[str, str] | None = None) -> Iterator[None]:
    """A server as a child process, from the moment it answers; its output only where it fails."""
    with tempfile.TemporaryFile() as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=os.environ | (env or {}))
        PIDS[port] = process.pid
        try:
            if not answers(f"http://127.0.0.1:{port}{path}", process):
                sink.seek(0)
                sys.exit(f"{command[0]} did not start:\n{sink.read()[-3000:].decode(errors='replace')}")
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return True
        except OSError:
            time.sleep(0.2)
    return False


@contextmanager
def docduet(engine: int, home: Path) -> Iterator[Target]:
    """`docduet serve` over the bundled handbook, which is indexed first."""
    env = {"DOCDUET_HOME": str(home)}
    command = [sys.executable, "-m", "docduet"]
    if not home.exists():
        handbook = str(Path(__file__).parents[1] / "data/handbook")
        subprocess.run([*command, "sync", handbook], check=True, env=os.environ | env, stdout=subprocess.DEVNULL)
    port = free_port()
    serve = [*command, "serve", "--no-ui", "--port", str(port), "--engine", f"http://127.0.0.1:{engine}/v1"]
    with running(serve, port, "/readyz", env):
        yield Target("docduet base", port, "base")


@contextmanager
def litellm(engine: int, folder: Path, temp: Path) -> Iterator[Target]:
    """LiteLLM's proxy, one worker, no database, no telemetry."""
    if not (folder / "bin/litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "-q", LITELLM], check=True)
    key, port, config = f"sk-{secrets.token_hex(24)}", free_port(), temp / "litellm.yaml"
    config.write_text(
        f"""model_list:
  - model_name: base
    litellm_params: {{model: openai/base, api_base: "http://127.0.0.1:{engine}/v1", api_key: unused}}
litellm_settings: {{telemetry: false, set_verbose: false}}
"""
    )
    env = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command = [str(folder / "bin/litellm"), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    with running([*command, "--num_workers", "1"], port, "/health/liveliness", env):
        yield Target("litellm proxy", port, "base", {"Authorization": f"Bearer {key}"})


if __name__ == "__main__":
    main()

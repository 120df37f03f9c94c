"""How full is the window of calls to a teacher, and how far is the whole from the ideal?

python benchmarks/teacher_window.py [PAGES] [SLOTS] [LATENCY_MS]

A scripted teacher in a process of its own answers each call after LATENCY_MS (200). All shapes of the preset
`balanced`, two ways to ask, the judge on. Printed: mean calls in flight over SLOTS (32) between the first and the last
request that was issued, as the server sees them; wall time of the asking beside calls * latency / slots; CPU
time a call of the asking process; and what a second run costs, which finds everything in the cache.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

from sft.gates import standard_gates
from sft.mixture import load_mixture
from sft.teacher.flows import Settings
from sft.teacher.writer import Asking, TeacherWriter
from sft.tokens import Estimate
from tests.fake_teacher import FakeTeacher
from tests.test_sft_teacher import docs


def serve(pipe: Connection, latency_s: float) -> None:
    """Answer until told to stop; then send (time, in flight) of every change."""
    with FakeTeacher(latency_s=latency_s) as teacher:
        pipe.send(teacher.url)
        pipe.recv()
        pipe.send((teacher.at, teacher.total, teacher.peak))
        pipe.recv()  # "again" ...
        pipe.recv()  # ... and "stop"


def mean_in_flight(at: list[tuple[float, int]]) -> float:
    """Calls in flight, averaged over time between the first and the last request."""
    issued = [number for number in range(len(at)) if number == 0 or at[number][1] > at[number - 1][1]]
    window = at[: issued[-1] + 1]
    area = sum(count * (after - when) for (when, count), (after, _) in pairwise(window))
    return area / (window[-1][0] - window[0][0])


def main(pages: int = 220, slots: int = 32, latency_ms: int = 200) -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, latency_ms / 1000), daemon=True)
    server.start()
    url = ours.recv()
    folder = Path(tempfile.mkdtemp())
    asking = Asking(url, folder / "cache.sqlite", concurrency=slots)
    writer = TeacherWriter(
        asking, Settings("wise", rewrites=2), load_mixture("balanced"), standard_gates(Estimate(), 4096)
    )
    corpus = docs(pages, facts=20)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    outcomes = list(writer.drafts(corpus))
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    ours.send("stop")
    at, calls, peak = ours.recv()
    first, last = at[0][0], at[-1][0]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    asked = at[-1][0] - at[0][0]
    print(f"{calls:,} calls from {pages} pages, {len(outcomes):,} outcomes, {slots} slots, {latency_ms} ms")
    print(f"window: {mean_in_flight(at) / slots:.1%} full (peak {peak})")
    print(f"asking: {last - first:.1f} s, ideal {calls * latency_ms / 1000 / slots:.1f} s; the whole {wall:.1f} s")
    print(f"CPU: {cpu / calls * 1000:.2f} ms a call")
    ours.send("again")
    started = time.monotonic()
    again = TeacherWriter(asking, Settings("wise", rewrites=2), load_mixture("balanced"), writer.gates)
    assert list(again.drafts(corpus)) == outcomes
    assert again.usage.made == 0
    print(f"again, all from the cache: {time.monotonic() - started:.1f} s")
    ours.send("stop")
    print(json.dumps({"calls": calls, "asked_s": round(asked, 2), "cpu_ms_a_call": round(cpu / calls * 1000, 3)}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

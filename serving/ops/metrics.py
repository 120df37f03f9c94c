"""Prometheus metrics of the gateway, one registry per app so that tests and several apps do not collide.

Every label has few values: names of arms and engines, words of ours, route templates; never an id, a path or a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from serving.arms.events import Finished
from serving.errors import as_api_error
from serving.exchange import Exchange
from serving.refresh import Result

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
NOBODY = "none"
"""The arm of what ended before an arm was chosen."""


class Metrics:
    """Counts answers by arm and outcome, and where their time went."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.requests = Counter("docduet_http_requests", "HTTP requests", ["route", "status"], registry=to)
        self.answers = Counter("docduet_answers", "Answers by outcome", ["arm", "outcome"], registry=to)
        self.degraded = Counter("docduet_degraded", "Answers that no model wrote", ["arm", "reason"], registry=to)
        self.cancelled = Counter("docduet_cancelled", "Answers whose client went away", ["arm"], registry=to)
        self.errors = Counter("docduet_errors", "Answers that ended in an error", ["arm", "code"], registry=to)
        self.tokens = Counter("docduet_tokens", "Tokens as the engine counts them", ["arm", "kind"], registry=to)
        self.seconds = Histogram("docduet_seconds", "By stage", ["arm", "stage"], buckets=_SECONDS, registry=to)
        self.streams = Gauge("docduet_streams", "Answers being written now", ["arm"], registry=to)
        self.waiting = Gauge("docduet_queue", "Requests that wait for their turn", registry=to)
        self.waited = Histogram("docduet_queue_seconds", "Time spent waiting", buckets=_SECONDS, registry=to)
        self.store_failures = Counter("docduet_store_failures", "Answers that could not be kept", registry=to)
        self.engines = Gauge("docduet_engine_ready", "1 when the engine can be asked", ["engine"], registry=to)
        self.refresh_ok = Gauge("docduet_refresh_ok", "0 when the last refresh had an error", registry=to)
        self.refresh_seconds = Gauge("docduet_refresh_seconds", "Duration of the last refresh", registry=to)
        self.refreshed_at = Gauge("docduet_refreshed_at", "Unix time of the last refresh without error", registry=to)
        self.refresh_ok.set(1)
        ProcessCollector(registry=to)
        self._open: dict[str, Exchange] = {}

    @contextmanager
    def following(self, exchange: Exchange) -> Iterator[None]:
        """Count an exchange while it is answered, and what came of it."""
        self._open[exchange.id] = exchange
        try:
            yield
        except Exception as error:
            for arm in exchange.route.arms or (NOBODY,):
                self.errors.labels(arm, as_api_error(error).code).inc()
            raise
        finally:
            del self._open[exchange.id]
            self.answered(exchange)

    def answered(self, exchange: Exchange) -> None:
        """Record what came of an exchange."""
        self._spent(exchange)
        ended = set()
        for answer in exchange.answers.values():
            if answer.finished:
                ended.add(answer.finished.arm)
                self._finished(answer.finished)
            elif answer.failed:
                ended.add(answer.failed.arm)
                self.answers.labels(answer.failed.arm, "failed").inc()
                self.errors.labels(answer.failed.arm, answer.failed.code).inc()
        for arm in exchange.route.arms or (NOBODY,):
            if exchange.cancelled and arm not in ended:
                self.cancelled.labels(arm).inc()

    def refreshed(self, last: Result) -> None:
        """Show the last refresh."""
        self.refresh_ok.set(not last.error)
        self.refresh_seconds.set(last.seconds)
        self.refreshed_at.set(last.succeeded_at)

    def scraped(self, ready: Mapping[str, bool], waiting: int) -> bytes:
        """Prometheus' text format. ``ready``: engine -> whether it can be asked; those gone are not shown.
        ``waiting``: requests in the queue."""
        self.waiting.set(waiting)
        self.engines.clear()
        for engine, up in ready.items():
            self.engines.labels(engine).set(up)
        self.streams.clear()
        for exchange in list(self._open.values()):
            for arm in exchange.route.arms:
                self.streams.labels(arm).inc()
        return generate_latest(self.registry)

    def _finished(self, event: Finished) -> None:
        outcome = "refused" if event.refused else "degraded" if event.degraded else "answered"
        self.answers.labels(event.arm, outcome).inc()
        if event.degraded:
            self.degraded.labels(event.arm, event.degraded.partition(":")[0]).inc()
        for stage, milliseconds in event.timings_ms.items():
            self.seconds.labels(event.arm, stage).observe(milliseconds / 1000)

    def _spent(self, exchange: Exchange) -> None:
        """Count tokens: of each arm what its engine told; what was spent beside that, on rewriting a question or on an
        answer cut short, goes to the arm that told nothing, else to the first."""
        rest = dict(exchange.spent.usage)
        silent = [*exchange.route.arms, NOBODY]
        for answer in exchange.answers.values():
            if answer.finished and answer.finished.usage:
                arm, told = answer.finished.arm, answer.finished.usage
                silent = [name for name in silent if name != arm] if len(silent) > 2 else silent
                self._tokens(arm, told)
                rest = {kind: count - told.get(kind, 0) for kind, count in rest.items()}
        self._tokens(silent[0], rest)

    def _tokens(self, arm: str, usage: Mapping[str, int]) -> None:
        for kind in ("prompt", "completion"):
            if (count := usage.get(f"{kind}_tokens", 0)) > 0:
                self.tokens.labels(arm, kind).inc(count)

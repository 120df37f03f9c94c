"""Prometheus metrics of the gateway, one registry per app so that tests and several apps do not collide."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.arms.events import Finished
from serving.exchange import Exchange
from serving.refresh import Result

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts answers by arm and outcome, and where their time went."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.answers = Counter("docduet_answers", "Answers by outcome", ["arm", "outcome"], registry=to)
        self.errors = Counter("docduet_errors", "Requests that ended in an error", ["code"], registry=to)
        self.store_failures = Counter("docduet_store_failures", "Answers that could not be kept", registry=to)
        self.tokens = Counter("docduet_tokens", "Tokens as the engine counts them", ["arm", "kind"], registry=to)
        self.seconds = Histogram("docduet_seconds", "By stage", ["arm", "stage"], buckets=_SECONDS, registry=to)
        self.streams = Gauge("docduet_streams", "Answers being written now", registry=to)
        self.engines = Gauge("docduet_engine_ready", "1 when the engine can be asked", ["engine"], registry=to)
        self.refresh_ok = Gauge("docduet_refresh_ok", "1 when the last refresh had no error", registry=to)
        self.refresh_seconds = Gauge("docduet_refresh_seconds", "Duration of the last refresh", registry=to)
        self.refreshed_at = Gauge("docduet_refreshed_at", "Unix time of the last refresh without error", registry=to)

    def refreshed(self, last: Result) -> None:
        """Show the last refresh."""
        self.refresh_ok.set(not last.error)
        self.refresh_seconds.set(last.seconds)
        self.refreshed_at.set(last.succeeded_at)

    def answered(self, exchange: Exchange) -> None:
        """Record what came of an exchange."""
        for answer in exchange.answers.values():
            if answer.finished:
                self._finished(answer.finished)
            elif answer.failed:
                self.answers.labels(answer.failed.arm, "failed").inc()

    def _finished(self, event: Finished) -> None:
        outcome = "refused" if event.refused else "degraded" if event.degraded else "answered"
        self.answers.labels(event.arm, outcome).inc()
        for stage, milliseconds in event.timings_ms.items():
            self.seconds.labels(event.arm, stage).observe(milliseconds / 1000)
        for kind in ("prompt_tokens", "completion_tokens"):
            if event.usage and event.usage.get(kind):
                self.tokens.labels(event.arm, kind.removesuffix("_tokens")).inc(event.usage[kind])

"""What the routes share: configuration, the live index, engines, arms and metrics, in one object on the app."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import Request

from rag.live import LiveIndex
from serving.access.admission import Admission
from serving.arms.plain import BaseArm, SftArm
from serving.arms.rag import RagArm
from serving.arms.turn import Arm, EngineOf
from serving.config import ServingConfig
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.supervisor import Supervisor
from serving.errors import ApiError, as_api_error
from serving.exchange import Choices, Exchange, Route
from serving.metrics import Metrics
from serving.refresh import Refresher


@dataclass
class Gateway:
    """One per app. ``fixed``: the voices that are there from the start; ``sft`` and
    ``sft-rag`` come with a checkpoint."""

    config: ServingConfig
    live: LiveIndex
    supervisor: Supervisor
    fixed: dict[str, Arm]
    checkpoint: CheckpointEngine | None = None
    refresher: Refresher | None = None
    metrics: Metrics = field(default_factory=Metrics)
    admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self.admission = Admission.of(self.config)

    @property
    def arms(self) -> dict[str, Arm]:
        """The model names that clients may ask for."""
        if self.checkpoint is None or not self.checkpoint.published:
            return self.fixed
        read = RagArm(self.live, self.checkpoint.engine, self.config, "sft-rag")
        return {**self.fixed, "sft": SftArm(self.checkpoint, self.config), "sft-rag": read}

    def arm(self, model: str) -> Arm:
        """The arm called ``model``; ApiError 404 that lists the others."""
        arms = self.arms
        if model not in arms:
            known = ", ".join(arms)
            raise ApiError(f"unknown model {model!r}; this gateway serves: {known}", 404, "model_not_found", "model")
        return arms[model]

    async def answer(self, exchange: Exchange) -> Choices:
        """Answer an exchange; it, and the metrics, remember what was said."""
        try:
            answering = exchange.follow(self._choices(exchange))
            async with self.admission.admit(exchange), aclosing(answering) as choices:
                with self.metrics.streams.track_inprogress():
                    async for choice in choices:
                        yield choice
        except Exception as error:
            self.metrics.errors.labels(as_api_error(error).code).inc()
            raise
        finally:
            self.metrics.answered(exchange)

    async def _choices(self, exchange: Exchange) -> Choices:
        """Let the arm that was asked for answer as choice 0."""
        arm = self.arm(exchange.model)
        exchange.route = Route((arm.name,))
        async with aclosing(arm.answer(exchange.turn)) as events:
            async for event in events:
                yield 0, event

    def public_url(self, request: Request) -> str:
        """How the client reaches us, without a trailing slash."""
        return (self.config.public_url or str(request.base_url)).rstrip("/")

    @property
    def mode(self) -> str:
        """ "engine" when answers are written by a model, "quoting" when no engine is ready."""
        return "engine" if self.supervisor.engine("base") else "quoting"


def build_gateway(
    config: ServingConfig,
    live: LiveIndex,
    supervisor: Supervisor,
    refresher: Refresher | None = None,
    checkpoint: CheckpointEngine | None = None,
) -> Gateway:
    """The gateway with the arms that the configuration allows: ``base`` needs an engine to be configured."""

    def engine_of(name: str) -> EngineOf:
        return lambda: supervisor.engine(name)

    arms: dict[str, Arm] = {"rag": RagArm(live, engine_of("base"), config)}
    if config.engines:
        arms["base"] = BaseArm(engine_of("base"), config)
    return Gateway(config, live, supervisor, arms, checkpoint, refresher)


def gateway_of(request: Request) -> Gateway:
    """The gateway behind a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway

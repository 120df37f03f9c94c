"""What the routes share: configuration, the live index, engines, arms and metrics, in one object on the app."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request

from data.errors import IndexMismatchError, NoIndexError
from rag.live import LiveIndex
from serving.access.admission import Admission
from serving.arms.compare import side_by_side
from serving.arms.plain import BaseArm, SftArm, Tuned, TunedElsewhere
from serving.arms.rag import RagArm
from serving.arms.retrieval import Found, find
from serving.arms.stopping import stopped, stops_of
from serving.arms.turn import Arm, EngineOf, Turn
from serving.arms.verify import Verifier
from serving.config import ServingConfig
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.supervisor import Supervisor
from serving.errors import ApiError
from serving.exchange import Choices, Exchange, Route
from serving.ops import current
from serving.ops.drain import Drain
from serving.ops.gaps import GapFinder
from serving.ops.metrics import Metrics
from serving.ops.reload import Reloader
from serving.pairing import COMPARE, USUAL, check_pairing, pair
from serving.refresh import Refresher
from serving.router.features import Learned
from serving.router.router import AUTO, Router, Voices
from serving.store.database import Store
from serving.store.recorder import Recorder

log = logging.getLogger(__name__)

TUNED = ("sft", "sft-rag")


@dataclass
class Gateway:
    """One per app. ``fixed``: the voices that are there from the start; ``sft`` and
    ``sft-rag`` come with a checkpoint."""

    config: ServingConfig
    live: LiveIndex
    supervisor: Supervisor
    fixed: dict[str, Arm]
    recorder: Recorder
    checkpoint: CheckpointEngine | None = None
    refresher: Refresher | None = None
    metrics: Metrics = field(default_factory=Metrics)
    drain: Drain = field(default_factory=Drain)
    reloader: Reloader | None = None
    admission: Admission = field(init=False)
    router: Router = field(init=False)
    gaps: GapFinder = field(init=False)

    def __post_init__(self) -> None:
        self.gaps = GapFinder(self.store, self.live)
        self.admission = Admission.of(self.config)
        self.router = Router(self.live.home.router)

    @property
    def store(self) -> Store:
        """Conversations, answers, votes, feedback and keys."""
        return self.recorder.store

    @property
    def arms(self) -> dict[str, Arm]:
        """The voices that answer by themselves."""
        if "sft" in self.fixed or self.checkpoint is None or not self.checkpoint.published:
            return self.fixed
        return {**self.fixed, **_tuned_arms(self.checkpoint, self.live, self.config)}

    @property
    def models(self) -> tuple[str, ...]:
        """The model names that clients may ask for: compare is there once both its usual voices are."""
        arms = self.arms
        return (AUTO, *arms, *((COMPARE,) if all(name in arms for name in USUAL) else ()))

    def arm(self, model: str) -> Arm:
        """The arm called ``model``; ApiError 404 that lists what can be asked for."""
        arms = self.arms
        if model not in arms:
            known = ", ".join(self.models)
            raise ApiError(f"unknown model {model!r}; this gateway serves: {known}", 404, "model_not_found", "model")
        return arms[model]

    def picked(self, model: str, asked: Sequence[str] = (), blind: bool = False) -> tuple[Arm, ...]:
        """The arms that answer for ``model``, in the order of their choices (none yet for ``auto``: the question
        decides); ApiError where there are none such."""
        check_pairing(model, asked, blind)
        if model == AUTO:
            return ()
        return pair(self.arms, asked, blind) if model == COMPARE else (self.arm(model),)

    def reconfigured(self) -> None:
        """Take over what was read from the configuration at the start: limits, and the voices of its engines."""
        self.admission.reconfigure(self.config)
        self.fixed = named_arms(self.config, self.live, self.supervisor)

    async def answer(self, exchange: Exchange) -> Choices:
        """Answer an exchange; it, the metrics and the store remember what was said."""
        current.remember(exchange)
        with self.metrics.following(exchange):
            async with AsyncExitStack() as held:
                with self.metrics.waited.time():
                    async with self.drain.wait():
                        await held.enter_async_context(self.admission.admit(exchange))
                async with aclosing(self._recorded(exchange)) as choices:
                    async for choice in choices:
                        yield choice

    async def _recorded(self, exchange: Exchange) -> Choices:
        await self.recorder.begin(exchange)
        try:
            guarded = self.drain.guard(exchange, self._until_stop(exchange))
            async with aclosing(exchange.follow(guarded)) as choices:
                async for choice in choices:
                    yield choice
        finally:
            await self.recorder.end(exchange)

    def _until_stop(self, exchange: Exchange) -> Choices:
        stops = stops_of(exchange.turn.sampling)
        return stopped(self._choices(exchange), stops) if stops else self._choices(exchange)

    async def _choices(self, exchange: Exchange) -> Choices:
        """Let the arms that were asked for answer, each as its choice."""
        if exchange.model == AUTO:
            async with aclosing(self.router.choices(exchange, self._voices(exchange.most > 1))) as routed:
                async for choice in routed:
                    yield choice
            return
        arms = self.picked(exchange.model, exchange.asked, exchange.blind)
        exchange.route = Route(tuple(arm.name for arm in arms))
        if exchange.blind:
            log.info("answer %s: blind, the sides are %s", exchange.id, ", ".join(exchange.order))
        answers = self.together(arms, exchange.turn) if len(arms) > 1 else _alone(arms[0], exchange.turn)
        async with aclosing(answers) as choices:
            async for choice in choices:
                yield choice

    async def together(self, arms: Sequence[Arm], turn: Turn) -> Choices:
        """Let arms answer side by side, over one search."""
        async with aclosing(side_by_side(arms, turn, await self._found(turn))) as choices:
            async for choice in choices:
                yield choice

    def _voices(self, both: bool) -> Voices:
        """What the router can choose from now: the fine-tuned voices only while their engine answers. ``both``: whether
        the client can read two answers."""
        engine, elsewhere = self.supervisor.engine("base"), "sft" in self.fixed
        checkpoint = None if elsewhere else self.checkpoint
        tuned = self.supervisor.engine("sft") if elsewhere else checkpoint.engine() if checkpoint else None
        known = checkpoint.manifest.pages if checkpoint and checkpoint.manifest else {}
        arms = {name: arm for name, arm in self.arms.items() if tuned or name not in TUNED}
        return Voices(
            arms=arms,
            search=lambda turn: find(self.live, turn, engine),
            learned=Learned(known) if tuned else None,
            engine=engine if self.config.route_probe else None,
            both=both and self.config.route_both,
            read_from=engine.trust.refuse_below if engine else self.live.config.refuse_below,
        )

    async def _found(self, turn: Turn) -> Found | None:
        """What the docs hold for a turn; None without an index, which an arm that reads reports by itself."""
        try:
            return await find(self.live, turn, self.supervisor.engine("base"))
        except (NoIndexError, IndexMismatchError):
            return None

    def public_url(self, request: Request) -> str:
        """How the client reaches us, without a trailing slash."""
        return (self.config.public_url or str(request.base_url)).rstrip("/")

    @property
    def mode(self) -> str:
        """ "engine" when answers are written by a model, "quoting" when no engine is ready."""
        return "engine" if self.supervisor.engine("base") else "quoting"


def _tuned_arms(tuned: Tuned, live: LiveIndex, config: ServingConfig) -> dict[str, Arm]:
    verifier = Verifier(live)
    read = RagArm(live, tuned.engine, config, "sft-rag", verifier)
    return {"sft": SftArm(tuned, config, verifier), "sft-rag": read}


async def _alone(arm: Arm, turn: Turn) -> Choices:
    async with aclosing(arm.answer(turn)) as events:
        async for event in events:
            yield 0, event


def build_gateway(
    config: ServingConfig,
    live: LiveIndex,
    supervisor: Supervisor,
    store: Store,
    refresher: Refresher | None = None,
    checkpoint: CheckpointEngine | None = None,
) -> Gateway:
    """The gateway with the arms that the configuration allows: ``base`` needs an engine to be configured."""
    arms = named_arms(config, live, supervisor)
    metrics = Metrics()
    recorder = Recorder(store, partial(_page_hash, live), metrics.store_failures.inc, config.keep_days)
    return Gateway(config, live, supervisor, arms, recorder, checkpoint, refresher, metrics)


def named_arms(config: ServingConfig, live: LiveIndex, supervisor: Supervisor) -> dict[str, Arm]:
    """``base`` needs an engine; an engine called ``sft`` is the fine-tuned model."""

    def engine_of(name: str) -> EngineOf:
        return lambda: supervisor.engine(name)

    verifier = Verifier(live)
    names = {engine.name for engine in config.engines}
    arms: dict[str, Arm] = {"rag": RagArm(live, engine_of("base"), config, verifier=verifier)}
    if "sft" in names:
        arms |= _tuned_arms(TunedElsewhere(engine_of("sft")), live, config)
    if names - {"sft"}:
        arms["base"] = BaseArm(engine_of("base"), config, verifier)
    return arms


def _page_hash(live: LiveIndex, page_id: str) -> str:
    try:
        page = live.retriever().page(page_id)
    except Exception:  # whatever became of the index, the answer is kept
        return ""
    return page.content_hash if page else ""


def gateway_of(request: Request) -> Gateway:
    """The gateway behind a request."""
    gateway: Gateway = request.app.state.gateway
    return gateway

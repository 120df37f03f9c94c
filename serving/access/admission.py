"""The door in front of every answer: tokens left, answers at the same time per key, a slot of the gateway.

    async with admission.admit(exchange): ...     # ApiError 429 or 503 with Retry-After before anything is asked

Afterwards the tokens that the exchange has used are charged to its key, also when it was cut short.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from serving.access.limits import Level, Limiter, MemoryLimiter
from serving.access.slots import Slots
from serving.config import ServingConfig
from serving.errors import ApiError
from serving.exchange import Exchange
from serving.principal import Limits, Principal

CONCURRENT_RETRY_S = 2.0


@dataclass
class Admission:
    """``of_keys``, ``of_local``: limits of keys that have none of their own, and of a gateway that asks for no keys."""

    limiter: Limiter
    slots: Slots
    of_keys: Limits
    of_local: Limits
    _settling: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def of(cls, config: ServingConfig, limiter: Limiter | None = None) -> Admission:
        """As [serving] says."""
        slots = Slots(config.max_answers, config.max_queue, config.queue_wait_s)
        of_keys = Limits(config.requests_per_minute, config.tokens_per_minute, config.concurrent_answers)
        return cls(limiter or MemoryLimiter(), slots, of_keys, Limits(config.local_requests_per_minute))

    def limits(self, principal: Principal) -> Limits:
        """What holds for a principal."""
        return principal.limits or (self.of_keys if principal.key_id else self.of_local)

    async def request(self, principal: Principal) -> Level | None:
        """Count a request; None where requests are not limited."""
        limits = self.limits(principal)
        if not limits.requests_per_minute:
            return None
        return await self.limiter.take(f"requests:{_name(principal)}", limits.requests_per_minute)

    async def tokens(self, principal: Principal) -> Level | None:
        """The tokens that are left, of which at least one is needed; None where tokens are not limited."""
        limits = self.limits(principal)
        if not limits.tokens_per_minute:
            return None
        return await self.limiter.take(f"tokens:{_name(principal)}", limits.tokens_per_minute, cost=0.0)

    @asynccontextmanager
    async def admit(self, exchange: Exchange) -> AsyncIterator[None]:
        """Hold a slot for an answer; charge its tokens at the end."""
        limits, name = self.limits(exchange.principal), _name(exchange.principal)
        ticket = await self.limiter.enter(name, limits.concurrent) if limits.concurrent else "any"
        if not ticket:
            message = f"this key already has {limits.concurrent} answers under way: wait for one to end"
            raise ApiError(message, 429, "too_many_answers", retry_after_s=CONCURRENT_RETRY_S)
        try:
            await self.slots.acquire(name, 0.5 if exchange.principal.key_id else 1.0)  # without keys all are one
            started = time.monotonic()
            try:
                yield
            finally:
                self.slots.release(time.monotonic() - started)
        finally:
            settling = self._settle(exchange, limits, name, ticket)
            await (self._to_its_end(settling) if self.limiter.waits else settling)

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """``work`` goes on where the task is being cancelled: what was used is charged, what was begun is ended."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        await asyncio.shield(task)

    async def _settle(self, exchange: Exchange, limits: Limits, name: str, ticket: str) -> None:
        used = exchange.usage["total_tokens"]
        if limits.tokens_per_minute and used:
            await self.limiter.take(f"tokens:{name}", limits.tokens_per_minute, used, need=float("-inf"))
        if limits.concurrent:
            await self.limiter.leave(name, ticket)


def _name(principal: Principal) -> str:
    return principal.key_id or "local"

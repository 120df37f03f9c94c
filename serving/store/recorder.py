"""Writes every exchange down, without making anybody wait for the database.

Exchanges go through a queue to one thread, which writes all that has come in one transaction. While the database is
away, locked or full it tries again and the queue grows, up to MAX_QUEUED and MAX_HELD_CHARS; what comes beyond that is
lost, logged and counted. An answer never fails because it could not be kept.

A question asked in a conversation is written before any engine is asked, so that a crash does not lose it.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from data.errors import StoreError
from serving.errors import ApiError
from serving.exchange import Exchange
from serving.store import conversations
from serving.store.database import Store, reason
from serving.store.snapshot import PageHash, answer_row, choice_rows, clean, question_row
from serving.store.tables import Answer, Choice, Conversation, Said

log = logging.getLogger(__name__)

MAX_QUEUED = 10_000
MAX_HELD_CHARS = 100_000_000
"""Of the questions, histories and answers that wait, together."""
MAX_BATCH = 200
LINGER_S = 0.1
"""So long an answer that nobody waits for waits for others: a commit each took a tenth of the gateway's time."""
PATIENCE_S = 2.0
"""So long a question or a reader waits for what is queued before them."""
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PURGE_EVERY_S = 3600.0
PURGE_BATCH = 200
_ID = re.compile(r"conv_[\w-]{1,60}", re.ASCII)
_AGAIN = (OperationalError, InterfaceError, PoolTimeout)

Phase = Literal["asked", "answered", "barrier"]


@dataclass(frozen=True)
class _Job:
    """``done`` is set once it has been written, or given up on."""

    phase: Phase
    exchange: Exchange | None = None
    done: Future[None] = field(default_factory=Future)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits until it is written."""
        return self.phase != "answered" or bool(self.exchange and self.exchange.conversation)


class Recorder:
    """One per app, an async context manager. ``lost`` is called for each exchange that could not be kept.

    ``keep_days``: older conversations and answers are deleted, 0 keeps them for ever.
    """

    def __init__(
        self,
        store: Store,
        page_hash: PageHash = lambda _: "",
        lost: Callable[[], None] = lambda: None,
        keep_days: float = 0,
    ) -> None:
        self.store = store
        self._page_hash = page_hash
        self._lost = lost
        self._keep_s = keep_days * 86400
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._stopping = threading.Event()
        self._held = 0
        self._counting = threading.Lock()
        self._purging: asyncio.Task[None] | None = None
        self.problem = ""
        """Why nothing can be written just now; "" when all is well."""

    async def __aenter__(self) -> Recorder:
        if self._keep_s:
            self._purging = asyncio.create_task(self._purge())
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._purging:
            self._purging.cancel()
        if self._thread.ident:
            self._stopping.set()
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            await asyncio.to_thread(self._thread.join, 5.0)
        self.store.close()

    @property
    def queued(self) -> int:
        """Exchanges that wait to be written."""
        return self._jobs.qsize()

    async def begin(self, exchange: Exchange) -> None:
        """Give ``exchange`` its conversation. ApiError 404 for one that is not its user's, in the same words as for one
        that there is not."""
        if exchange.replaces and exchange.conversation in ("", "new"):
            message = "name the conversation that the answer to replace is in, as docduet.conversation"
            raise ApiError(message, 400, "invalid_request", "docduet.replace")
        if not exchange.conversation:
            return
        if not exchange.keep:
            message = "what is not stored cannot be part of a conversation: leave out conversation, or store: false"
            raise ApiError(message, 400, "invalid_request", "docduet.conversation")
        if exchange.conversation == "new":
            exchange.conversation = f"conv_{secrets.token_hex(12)}"
        else:
            await self._check(exchange)
        await self._wait(self._put(_Job("asked", exchange)))

    async def end(self, exchange: Exchange) -> None:
        """Keep what came of ``exchange``. Only an answer in a conversation waits until it is written."""
        if not exchange.keep:
            return
        done = self._put(_Job("answered", exchange))
        if exchange.conversation and not exchange.cancelled:
            await self._wait(done)

    async def written(self) -> None:
        """Wait until all that has ended is written: whoever reads an answer that was just given waits for it here."""
        await self._wait(self._put(_Job("barrier")))

    async def _check(self, exchange: Exchange) -> None:
        mine = exchange.principal.user, exchange.conversation, exchange.replaces
        if not _ID.fullmatch(exchange.conversation):  # none of ours, which the database need not be asked for
            raise conversations.not_found(exchange.conversation)
        if self.problem:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.store.run(conversations.check, *mine, writes=False)
        except (StoreError, TimeoutError) as error:  # whose it is will be seen when it is written
            log.warning("conversation %s cannot be looked up: %s", exchange.conversation, error)

    def _put(self, job: _Job) -> Future[None]:
        if not self._thread.ident:
            with suppress(RuntimeError):  # another thread was quicker
                self._thread.start()
        chars = _chars(job.exchange) if job.exchange else 0
        if self._held + chars > MAX_HELD_CHARS:
            self._give_up(job, "too much waits for the database already")
            return job.done
        self._hold(chars)
        job.done.add_done_callback(lambda _: self._hold(-chars))
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._give_up(job, "too many wait for the database already")
        return job.done

    def _hold(self, chars: int) -> None:
        with self._counting:
            self._held += chars

    async def _wait(self, done: Future[None]) -> None:
        """Wait for a job, but not for long, and not at all while the database is known to be in trouble."""
        if self.problem:
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(asyncio.wrap_future(done))
        except TimeoutError:
            self._complain(self.problem or f"the database has not answered for {PATIENCE_S:g} s")

    async def _purge(self) -> None:
        while True:
            try:
                await self._purge_now()
            except StoreError as error:
                log.warning("old conversations were not deleted: %s", error)
            await asyncio.sleep(PURGE_EVERY_S)

    async def _purge_now(self) -> None:
        """A little at a time, so that nobody waits for it, and that it comes to an end however much there is."""
        gone, before = 0, time.time() - self._keep_s
        while deleted := await self.store.run(conversations.purge, before, PURGE_BATCH):
            gone += deleted
        if gone:
            log.info("deleted %d conversations and single answers older than keep_days", gone)

    def _write_all(self) -> None:
        """The thread: one transaction for all that waits, and for what comes in the next moment where nobody waits."""
        while (job := self._jobs.get()) is not None:
            batch, last, until = [job], False, time.monotonic() + LINGER_S
            with suppress(queue.Empty):
                while len(batch) < MAX_BATCH and not last:
                    patience = 0.0 if batch[-1].urgent else until - time.monotonic()
                    more = self._jobs.get(timeout=patience) if patience > 0 else self._jobs.get_nowait()
                    last = more is None
                    batch += [more] if more else []
            self._write(batch)
            if last:
                return

    def _write(self, batch: list[_Job]) -> None:
        for attempt in range(1_000_000):
            try:
                self._transact(batch)
            except _AGAIN as error:
                self._complain(reason(error))
                if not self._stopping.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)]):
                    continue
                self._give_up_all(batch, self.problem)
            except Exception as error:
                if len(batch) > 1:  # one of them is at fault: the others shall not suffer
                    for job in batch:
                        self._write([job])
                elif not isinstance(error, IntegrityError) or batch[0].phase != "answered":
                    self._give_up(batch[0], reason(error))
            self.problem = ""
            for job in batch:
                if not job.done.done():
                    job.done.set_result(None)
            return

    def _transact(self, batch: list[_Job]) -> None:
        jobs = [job for job in batch if job.exchange]
        if not jobs:
            return
        asked = [job.exchange for job in jobs if job.exchange and job.phase == "asked"]
        answered = [job.exchange for job in jobs if job.exchange and job.phase == "answered"]
        with self.store.writing() as db:
            _keep_questions(db, asked)
            _keep_answers(db, answered, self._page_hash)

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            log.error("answers cannot be written down just now, and are kept in memory: %s", problem)
        self.problem = problem

    def _give_up_all(self, batch: list[_Job], why: str) -> None:
        for job in batch:
            self._give_up(job, why)

    def _give_up(self, job: _Job, why: str) -> None:
        if job.exchange:
            log.error("%s of %s is not kept: %s", job.phase, job.exchange.id, why)
            self._lost()
        job.done.set_result(None)


def _chars(exchange: Exchange) -> int:
    """How much of a text an exchange holds in memory, about."""
    said = sum(len(answer.text) + len(answer.reasoning) for answer in exchange.answers.values())
    return len(exchange.turn.question) + sum(len(message["content"]) for message in exchange.turn.history) + said


def _keep_questions(db: Session, exchanges: list[Exchange]) -> None:
    """The conversation, made where it is new, and the question without an answer."""
    for exchange in exchanges:
        there = db.get(Conversation, exchange.conversation)
        if there and there.owner != exchange.principal.user:
            log.warning("conversation %s is not %s's", there.id, exchange.principal.user)
            continue
        if there:
            there.updated_at = max(there.updated_at, exchange.asked_at)
        else:
            title = conversations.title_of(exchange.turn.question)
            there = conversations.new(exchange.conversation, exchange.principal.user, title, exchange.asked_at)
            db.add(there)
        db.flush()
        asked = Answer(**question_row(exchange))
        db.add(asked)
        db.flush()
        db.add(Said(answer_id=asked.id, conversation_id=there.id, question=asked.question.lower()))
        if exchange.replaces:
            conversations.replace(db, there, exchange.replaces, asked)


def _keep_answers(db: Session, exchanges: list[Exchange], page_hash: PageHash) -> None:
    """What came of them. Those of a conversation that was deleted meanwhile are gone with it."""
    fresh = [exchange for exchange in exchanges if not exchange.conversation]
    known = [exchange for exchange in exchanges if exchange.conversation and _there(db, exchange)]
    if fresh:
        db.execute(insert(Answer), [answer_row(exchange) for exchange in fresh])
    if known:
        db.execute(update(Answer), [answer_row(exchange) for exchange in known])
    for exchange in known:
        text = "\n".join(answer.text for _, answer in sorted(exchange.answers.items())).lower()
        db.execute(update(Said).where(Said.answer_id == exchange.id).values(answered=clean(text)))
    choices = [row for exchange in fresh + known for row in choice_rows(exchange, page_hash)]
    if choices:
        db.execute(insert(Choice), choices)


def _there(db: Session, exchange: Exchange) -> bool:
    return db.scalar(select(Answer.id).where(Answer.id == exchange.id)) is not None

"""Read docduet.toml again while serving: what can change at run time does, and what cannot is named.

Told by SIGHUP or POST /v1/admin/reload. A file that is wrong changes nothing. Engines that were changed get a successor
beside them, which takes over once it answers, so no question fails; that goes on after `reload` has returned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from data.errors import BusyError, ConfigError, EngineError
from rag.config import RagConfig
from serving.config import EngineConfig, ServingConfig
from serving.ops import logs

if TYPE_CHECKING:
    from serving.gateway import Gateway

log = logging.getLogger(__name__)

RELOADABLE: Mapping[str, frozenset[str]] = {
    "serving": frozenset(
        {
            "answer_timeout_s",
            "concurrent_answers",
            "engines",
            "local_requests_per_minute",
            "log",
            "log_level",
            "log_texts",
            "max_answers",
            "max_messages",
            "max_prompt_chars",
            "max_question_chars",
            "max_queue",
            "max_tokens",
            "metrics_without_key",
            "public_url",
            "queue_wait_s",
            "requests_per_minute",
            "require_keys",
            "route_both",
            "route_probe",
            "sft_args",
            "sft_system_prompt",
            "shutdown_timeout_s",
            "tokens_per_minute",
            "verify",
        }
    ),
    "rag": frozenset(
        {
            "candidates",
            "context_tokens",
            "keep_generations",
            "per_page",
            "refuse_below",
            "rerank_candidates",
            "reranker",
            "top_k",
            "wide_context_tokens",
            "wide_top_k",
        }
    ),
}
"""What takes effect without a restart, by table: keys that are read anew each time they are needed."""

EACH_SYNC = "data"
"""The table that each `docduet sync` reads by itself; all but its ``refresh`` needs no reload."""

Tables = Mapping[str, BaseModel]
"""Table name -> its model: serving and rag at least."""


@dataclass(frozen=True)
class Reloaded:
    """Keys as ``table.key``. ``changed``: in effect now; ``needs_restart``: differ from what runs, and stay so.
    ``engines``: name -> added, changed or removed; a change is under way until its successor answers."""

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]
    engines: Mapping[str, str]


@dataclass(frozen=True)
class _Change:
    """An engine's configuration before and after; None where there is none."""

    name: str
    old: EngineConfig | None
    new: EngineConfig | None

    @property
    def how(self) -> str:
        return "added" if self.old is None else "removed" if self.new is None else "changed"


class Reloader:
    """``tables``: what the gateway runs with; its ServingConfig is the very object that all parts hold.
    ``read``: gives them as the files say now, or raises ConfigError."""

    def __init__(self, gateway: Gateway, tables: Tables, read: Callable[[], Tables]) -> None:
        self._gateway = gateway
        self._tables = dict(tables)
        self._read = read
        self._lock = asyncio.Lock()
        self._changing: asyncio.Task[None] | None = None
        self.problems: dict[str, str] = {}
        """Engine -> why its last change was not made."""

    @property
    def settled(self) -> bool:
        """Whether no engine is being changed."""
        return self._changing is None or self._changing.done()

    async def reload(self) -> Reloaded:
        """Raises ConfigError (nothing has changed), or BusyError while engines of the last reload are changed."""
        if self._lock.locked() or not self.settled:
            raise BusyError("the last reload is still changing engines: wait for it to end, and try again")
        async with self._lock:
            fresh = await asyncio.to_thread(self._read)
            differ = {name: _differ(self._tables[name], fresh[name]) for name in self._tables}
            engines = _engines(self._serving, fresh["serving"])
            taken = {name: keys & RELOADABLE.get(name, frozenset()) for name, keys in differ.items()}
            await self._read_differently(fresh["rag"], taken["rag"])
            _take(self._serving, fresh["serving"], taken["serving"])
            logs.configure(self._serving)
            self._gateway.reconfigured()
            self._change_engines(engines)
            how = {change.name: change.how for change in engines}
            done = Reloaded(_names(taken), _names(_rest(differ, taken)), how)
        log.info(
            "configuration read again: changed %s; needs a restart: %s",
            ", ".join(done.changed) or "nothing",
            ", ".join(done.needs_restart) or "nothing",
        )
        return done

    @property
    def _serving(self) -> ServingConfig:
        config = self._tables["serving"]
        assert isinstance(config, ServingConfig)
        return config

    async def _read_differently(self, fresh: BaseModel, keys: set[str]) -> None:
        """The search with its new options. Raises ConfigError, for a reranker that cannot be loaded."""
        if keys:
            old = self._tables["rag"]
            new = old.model_copy(update={key: getattr(fresh, key) for key in keys})
            assert isinstance(new, RagConfig)
            await asyncio.to_thread(self._gateway.live.reconfigure, new)
            self._tables["rag"] = new

    def _change_engines(self, changes: Sequence[_Change]) -> None:
        self.problems = {}
        if changes:
            self._changing = asyncio.create_task(self._each_engine(changes))

    async def _each_engine(self, changes: Sequence[_Change]) -> None:
        await asyncio.gather(*(self._change_engine(change) for change in changes))

    async def _change_engine(self, change: _Change) -> None:
        supervisor, patience_s = self._gateway.supervisor, self._serving.answer_timeout_s
        try:
            if change.new is None:
                await supervisor.retire(change.name, patience_s)
            elif change.old is None:
                supervisor.add(change.new)
            else:
                await supervisor.replace(change.new, patience_s)
        except (EngineError, ConfigError) as error:
            self.problems[change.name] = str(error)
            log.warning("engine %s stays as it was: %s", change.name, logs.plainly(error))
            kept = [change.old if engine.name == change.name else engine for engine in self._serving.engines]
            self._serving.__dict__["engines"] = tuple(filter(None, kept))  # so that the next reload tries again
            self._gateway.reconfigured()


def _take(config: ServingConfig, fresh: BaseModel, keys: set[str]) -> None:
    """Frozen for all who hold it; here alone its fields are replaced, so that all of them see it."""
    for key in keys:
        config.__dict__[key] = getattr(fresh, key)


def _differ(old: BaseModel, new: BaseModel) -> set[str]:
    return {key for key in type(old).model_fields if getattr(old, key) != getattr(new, key)}


def _engines(old: ServingConfig, new: BaseModel) -> list[_Change]:
    """The engines that differ."""
    assert isinstance(new, ServingConfig)
    before, after = ({engine.name: engine for engine in config.engines} for config in (old, new))
    pairs = [(name, before.get(name), after.get(name)) for name in sorted(before.keys() | after)]
    return [_Change(name, was, will) for name, was, will in pairs if was != will]


def _rest(differ: Mapping[str, set[str]], taken: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """What differs and was not taken. Each sync reads its own table by itself, but for when it is due."""
    rest = {name: keys - taken[name] for name, keys in differ.items()}
    return {name: keys & {"refresh"} if name == EACH_SYNC else keys for name, keys in rest.items()}


def _names(tables: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(sorted(f"{table}.{key}" for table, keys in tables.items() for key in keys))

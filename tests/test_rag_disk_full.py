"""A build that runs out of room leaves the old index serving, says so, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import DiskFullError
from data.home import Home
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from tests.fakes import HashedWords

CONFIG = RagConfig()
REPO = Path(__file__).parents[1]
KB = 1024


def pages(word: str, n: int) -> list[Page]:
    return [
        Page(f"{i}.md", f"Page {i}", f"# Section\n\nThe answer is {word} number{i}. " + "More. " * 40) for i in range(n)
    ]


def live_text(home: Home) -> str:
    return LiveIndex(home, CONFIG, HashedWords()).retriever().search("answer")[0].text


def test_a_full_disk(small_disk: Path) -> None:
    """Wherever it gets full: in the cache of embeddings, or in any file of the new index."""
    home = Home(small_disk / "home")
    build_index(pages("apple", 3), home, CONFIG, embedder=HashedWords())
    stages = ["start"]
    met: set[str] = set()
    for free in (0, 100 * KB, 200 * KB, 300 * KB, 400 * KB, 500 * KB):
        fill(small_disk / "ballast", free)
        with pytest.raises(DiskFullError, match="free some room"):
            build_index(pages("pear", 600), home, CONFIG, lambda stage, *_: stages.append(stage), HashedWords())
        met.add(stages[-1])
        assert "apple" in live_text(home)
        (small_disk / "ballast").unlink()
        assert not list(home.index.glob(".building-*"))
        if free == 100 * KB:  # from now on the embeddings are there, and what fails is the index itself
            embed_only(home)
    assert met == {"start", "embed", "write"}
    assert build_index(pages("pear", 600), home, CONFIG, embedder=HashedWords()).info.chunks == 600
    assert "pear" in live_text(home)


def fill(ballast: Path, free: int) -> None:
    """Fill the disk but for ``free`` bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4 * KB))
        except OSError:
            size = file.tell()
    with ballast.open("r+b") as file:
        file.truncate(max(0, size - free))


def embed_only(home: Home) -> None:
    from rag.cache import EmbeddingCache
    from rag.chunk import chunk_page

    texts = [chunk.searchable for page in pages("pear", 600) for chunk in chunk_page(page, CONFIG.chunk_tokens)]
    with EmbeddingCache(home.cache / "embeddings.sqlite") as cache:
        cache.embed(HashedWords(), texts)


LIMITED = """
import resource, sys
from pathlib import Path
from data.home import Home
from rag.build import build_index
from tests.fakes import HashedWords
from tests.test_rag_disk_full import CONFIG, pages
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
build_index(pages("pear", 600), Home(Path(sys.argv[1])), CONFIG, embedder=HashedWords())
"""


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on the size of files, as a quota sets: any write can fail, and the old index serves."""
    home = Home(tmp_path)
    build_index(pages("apple", 3), home, CONFIG, embedder=HashedWords())
    embed_only(home)
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(home.root), str(100 * KB)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Error" in ended.stderr
    assert "apple" in live_text(home)
    assert not list(home.index.glob(".building-*"))

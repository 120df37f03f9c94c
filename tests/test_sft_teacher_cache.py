"""The file that keeps a teacher's replies: full disks, damage, two builds at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.chat.cache import CallCache
from data.chat.calls import Call, Reply
from data.errors import ConfigError, DiskFullError
from sft.types import Sample
from tests.fake_teacher import FakeTeacher
from tests.teacher_lessons import docs, teach
from tests.test_rag_disk_full import fill

CALL = Call("answer", ({"role": "user", "content": "What?"},), 100)


def put_until_it_fails(cache: CallCache, kept: list[bytes]) -> None:
    for n in range(10_000):
        key = CALL.key(f"model {n}")
        cache.put(key, CALL, "m", Reply("word " * 200))
        kept.append(key)


def test_a_full_disk_costs_no_answer_that_was_paid_for(small_disk: Path) -> None:
    cache = CallCache(small_disk / "cache" / "teacher.sqlite")
    fill(small_disk / "ballast", 100_000)
    kept: list[bytes] = []
    with pytest.raises(DiskFullError, match="run again"):
        put_until_it_fails(cache, kept)
    cache.close()
    (small_disk / "ballast").unlink()
    again = CallCache(small_disk / "cache" / "teacher.sqlite")
    assert len(kept) > 3
    assert all(again.get(key) for key in kept)
    again.close()


def test_a_damaged_cache_is_told_and_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    path.write_bytes(b"no database at all, but somebody's money " * 100)
    with pytest.raises(ConfigError, match="move it away"):
        CallCache(path)
    assert path.stat().st_size > 1000


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(ConfigError, match="make it writable"):
        CallCache(tmp_path / "cache" / "teacher.sqlite")


def test_two_builds_at_once_share_the_cache(tmp_path: Path) -> None:
    """Each has its own connection and event loop; SQLite's locks are between connections, whoever holds them."""
    pages = docs(20)
    with FakeTeacher(latency_s=0.01) as teacher:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda _: list(teach(teacher, tmp_path).drafts(pages)), range(3)))
        paid = teacher.total
        again = list(teach(teacher, tmp_path).drafts(pages))
    assert teacher.total == paid  # nothing that one of them asked was lost
    assert found == [again] * 3
    assert all(isinstance(one, Sample) for one in again)

"""A dataset is the old one or the new one, whenever its writer is killed and however full the disk is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import DiskFullError
from sft import replace as module
from sft.output import write_dataset
from sft.previous import read_previous
from sft.replace import replacing
from sft.split import Split
from tests.test_rag_disk_full import fill
from tests.test_sft_dataset import sample

REPO = Path(__file__).parents[1]
KB = 1024

WRITES = """
import sys
from pathlib import Path
from sft.output import write_dataset
from sft.split import Split
from sft.types import Sample
for n in range(100_000):
    said = [({"role": "user", "content": f"q {n} {i}"}, {"role": "assistant", "content": "a"}) for i in range(40)]
    rows = tuple(Sample(one, "single", "en", (), (), "rules", "f", "") for one in said)
    write_dataset(Path(sys.argv[1]), Split(rows, rows[:2]), [], build={"mixture": str(n)})
    print(n, flush=True)
"""


def version(out: Path) -> int:
    """Which one lies there; fails when its files are not all of the same one."""
    previous = read_previous(out)
    assert len(previous.samples) == 42
    assert {one.questions[0].split()[1] for one in previous.samples} == {previous.mixture}
    return int(previous.mixture)


def test_a_killed_writer_leaves_a_whole_dataset(tmp_path: Path) -> None:
    out, rng, halves = tmp_path / "ds", random.Random(7), 0
    for _ in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITES, str(out)], cwd=REPO, stdout=subprocess.PIPE, text=True)
        assert writer.stdout
        writer.stdout.readline()  # the first one of this writer is there
        time.sleep(rng.uniform(0, 0.2))
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        version(out)
        drafts = list(tmp_path.glob(".ds.new-*"))
        assert len(drafts) <= 1  # the one before was removed
        halves += len(drafts)
    assert halves > 3  # it was killed while it wrote
    with replacing(out) as folder:
        assert [path.name for path in tmp_path.iterdir() if path != out] == [folder.name]
        for path in out.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


def test_a_living_writers_draft_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "ds"
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:  # it holds its draft until it is killed
        with replacing(out):
            os.write(go, b"x")
            time.sleep(60)
    os.read(ready, 1)
    write_dataset(out, Split((sample(),), ()), [])
    assert (tmp_path / f".ds.new-{child}").is_dir()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    write_dataset(out, Split((sample(),), ()), [])
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


def test_without_the_exchange_it_takes_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS has none. Killed between the two, the next writer puts the old one back first."""
    monkeypatch.setattr(module, "_exchange", lambda a, b: False)
    out = tmp_path / "ds"
    for question in ("old", "new"):
        write_dataset(out, Split((sample(question),), ()), [])
    assert [one.questions[0] for one in read_previous(out).samples] == ["new"]
    out.rename(tmp_path / ".ds.old")
    with pytest.raises(RuntimeError), replacing(out):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


def test_a_full_disk(small_disk: Path) -> None:
    """Wherever it gets full, the old dataset stays and the message says what to do."""
    out = small_disk / "ds"
    write_dataset(out, Split((sample("old"),), ()), [])
    rows = tuple(sample(f"question {n}") for n in range(1500))
    for free in (0, 100 * KB, 300 * KB, 700 * KB, 1000 * KB):
        fill(small_disk / "ballast", free)
        with pytest.raises(DiskFullError, match="free some room and build again"):
            write_dataset(out, Split(rows, ()), [])
        (small_disk / "ballast").unlink()
        assert [one.questions[0] for one in read_previous(out).samples] == ["old"]
        assert [path.name for path in small_disk.iterdir()] == ["ds"]
    write_dataset(out, Split(rows, ()), [])
    assert len(read_previous(out).samples) == 1500


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob(".ds.*"))

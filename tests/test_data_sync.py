"""Folder -> store: what changed and nothing else, and nothing lost whatever happens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from data.config import DataConfig
from data.errors import BusyError, EmptySourceError, SourceError
from data.reader import Job, Outcome, read, read_all
from data.source import Candidate, Skipped, scan
from data.store import PageStore
from data.sync import SyncReport, sync_source

REPO = Path(__file__).parents[1]
CORPUS = REPO.parent / "shared" / "corpora" / "ms-swift-docs"


@pytest.fixture
def store(tmp_path: Path) -> PageStore:
    return PageStore(tmp_path / "home" / "pages.sqlite")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder, {"a.md": "# A\n\nFirst page.", "guide/b.md": "# B\n\nSecond page.", "c.txt": "Third page."})
    return folder


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def run(folder: Path, store: PageStore, **config: object) -> SyncReport:
    return sync_source(str(folder), store, DataConfig.model_validate(config))


def urls(store: PageStore) -> list[str]:
    return [page.url for page in store.pages()]


def test_first_second_and_third_sync(docs: Path, store: PageStore) -> None:
    first = run(docs, store)
    assert (first.added, first.skipped) == (["a.md", "c.txt", "guide/b.md"], [])
    second = run(docs, store)
    assert (second.unchanged, second.touched) == (["a.md", "c.txt", "guide/b.md"], False)
    write(docs, {"a.md": "# A\n\nFirst page, improved.", "d.md": "# D\n\nNew."})
    (docs / "c.txt").unlink()
    third = run(docs, store)
    assert (third.added, third.changed, third.removed, third.unchanged) == (
        ["d.md"],
        ["a.md"],
        ["c.txt"],
        ["guide/b.md"],
    )
    page = store.find("a.md")
    assert page is not None
    assert (page.title, page.body, page.source) == ("A", "First page, improved.", str(docs))


def test_an_old_unchanged_file_is_not_even_opened(
    docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in docs.rglob("*.*"):
        os.utime(path, (1e9, 1e9))
    run(docs, store)
    monkeypatch.setattr("data.reader.read", lambda job: pytest.fail(f"{job.candidate.path} was read"))
    assert len(run(docs, store).unchanged) == 3


def test_a_change_that_keeps_size_and_time_stamp_is_seen(docs: Path, store: PageStore) -> None:
    run(docs, store)
    stamp = (docs / "a.md").stat().st_mtime_ns
    write(docs, {"a.md": "# A\n\nFresh page."})
    os.utime(docs / "a.md", ns=(stamp, stamp))
    assert run(docs, store).changed == ["a.md"]


def test_a_new_time_stamp_or_layout_alone_is_no_change(docs: Path, store: PageStore) -> None:
    run(docs, store)
    before = store.find("a.md")
    write(docs, {"a.md": "---\ndate: 2026-01-01\n---\n# A\n\nFirst page.\n\n\n"})
    assert run(docs, store).touched is False
    assert store.find("a.md") == before


def test_labels_and_base_url(docs: Path, store: PageStore) -> None:
    run(docs, store)
    assert len(run(docs, store, product="Widget", version="2").changed) == 3
    report = run(docs, store, base_url="https://docs.example/en/")
    assert report.added == [f"https://docs.example/en/{path}" for path in ("a.md", "c.txt", "guide/b.md")]
    assert report.removed == ["a.md", "c.txt", "guide/b.md"]
    assert store.count() == 3


def test_progress_counts_up_to_all(docs: Path, store: PageStore) -> None:
    seen: list[tuple[int, int, str]] = []
    sync_source(str(docs), store, DataConfig(), lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(1, 3), (2, 3), (3, 3)]


def test_what_cannot_be_read_is_skipped_with_a_reason(docs: Path, store: PageStore, tmp_path: Path) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "x.png")
    write(
        docs,
        {
            "logo.md": (tmp_path / "x.png").read_bytes(),
            "empty.md": "",
            "gbk.md": "# 端口\n\n设置端口号。".encode("gbk"),
        },
    )
    with (docs / "huge.md").open("wb") as huge:
        huge.truncate(200_000_000)
    write(docs, {".git/x.md": "# no", "node_modules/y.md": "# no", ".hidden.md": "# no"})
    report = run(docs, store)
    reasons = dict(report.skipped)
    assert set(reasons) == {"logo.md", "empty.md", "huge.md"}
    assert "a PNG image named .md" in reasons["logo.md"]
    assert "200 MB is over the limit of 50 MB" in reasons["huge.md"]
    page = store.find("gbk.md")
    assert page is not None
    assert (page.title, page.body, page.lang) == ("端口", "设置端口号。", "zh")
    assert store.count() == 4


def test_a_file_over_the_limit_is_never_opened(docs: Path) -> None:
    found = {entry.path: entry for entry in scan(docs, max_bytes=16)}
    assert isinstance(found["guide/b.md"], Skipped)
    assert isinstance(found["c.txt"], Candidate)


def test_links_in_circles_end(docs: Path, store: PageStore) -> None:
    (docs / "guide" / "up").symlink_to(docs)
    (docs / "dangling.md").symlink_to(docs / "nowhere.md")
    os.mkfifo(docs / "pipe.md")
    report = run(docs, store)
    assert len(report.added) == 3
    assert [path for path, _ in report.skipped] == ["dangling.md", "guide/up", "pipe.md"]


def test_a_page_that_vanishes_mid_sync_is_kept_this_time(
    docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(docs, store)

    def vanish(job: Job) -> Outcome:
        if job.candidate.path == "a.md":
            job.candidate.file.unlink()
        return read(job)

    monkeypatch.setattr("data.reader.read", vanish)
    report = run(docs, store)
    assert "vanished" in dict(report.skipped)["a.md"]
    assert (report.removed, store.count()) == ([], 3)
    monkeypatch.undo()
    assert run(docs, store).removed == ["a.md"]


def test_a_file_that_cannot_be_read_keeps_its_page(
    docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(docs, store)
    real = Path.open

    def deny(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "a.md":
            raise PermissionError(13, "Permission denied")
        return real(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", deny)
    report = run(docs, store)
    assert "permission denied" in dict(report.skipped)["a.md"]
    assert report.removed == []


def test_a_folder_that_cannot_be_listed_keeps_its_pages(
    docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(docs, store)
    real = os.scandir

    def deny(path: Path) -> object:
        if str(path).endswith("guide"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("data.source.os.scandir", deny)
    report = run(docs, store)
    assert dict(report.skipped).keys() == {"guide"}
    assert (report.removed, store.count()) == ([], 3)


def test_a_page_replaced_by_a_picture_goes(docs: Path, store: PageStore) -> None:
    run(docs, store)
    Image.new("RGB", (30, 30)).save(docs / "a.png")
    (docs / "a.png").rename(docs / "a.md")
    report = run(docs, store)
    assert report.removed == ["a.md"]


def make_empty(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        path.unlink()


def only_images(folder: Path) -> None:
    make_empty(folder)
    Image.new("RGB", (30, 30)).save(folder / "a.png")


@pytest.mark.parametrize(("spoil", "message"), [(make_empty, "is empty"), (only_images, "no readable document.*a PNG")])
def test_an_empty_source_is_refused_and_the_old_pages_stay(
    docs: Path, store: PageStore, spoil: Callable[[Path], None], message: str
) -> None:
    run(docs, store)
    spoil(docs)
    with pytest.raises(EmptySourceError, match=rf"{message}|nothing was removed"):
        run(docs, store)
    assert store.count() == 3


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), ("docs/a.md", "is a file")])
def test_a_source_that_is_no_folder(docs: Path, store: PageStore, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        run(tmp_path / name, store)


@pytest.mark.parametrize("source", ["ftp://docs.example/", "file:///docs", "s3://bucket/docs"])
def test_an_address_of_an_unknown_kind(store: PageStore, source: str) -> None:
    with pytest.raises(SourceError, match="give a folder"):
        sync_source(source, store, DataConfig())


def test_two_folders_with_the_same_path_in_them(docs: Path, store: PageStore, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write(other, {"a.md": "# Another A\n\nOf the other.", "z.md": "# Z\n\nLast."})
    run(docs, store)
    report = run(other, store)
    assert report.added == ["z.md"]
    assert f"{docs} already holds a page of this name" in dict(report.skipped)["a.md"]
    page = store.find("a.md")
    assert page is not None
    assert page.title == "A"
    assert run(docs, store).removed == []
    assert len(run(other, store, base_url="https://other.example").added) == 2


def test_a_folder_that_moved_takes_its_pages_along(docs: Path, store: PageStore, tmp_path: Path) -> None:
    run(docs, store)
    docs.rename(tmp_path / "moved")
    run(tmp_path / "moved", store)
    assert urls(store) == ["a.md", "c.txt", "guide/b.md"]
    assert [summary.source for summary in store.sources()] == [str(tmp_path / "moved")]


def test_one_sync_at_a_time(docs: Path, store: PageStore) -> None:
    store.path.parent.mkdir(parents=True)
    with FileLock(store.path.with_name("pages.sqlite.sync.lock")), pytest.raises(BusyError, match=r"running.*wait"):
        run(docs, store)
    assert run(docs, store).added


def test_a_bug_on_one_page_does_not_end_the_sync(docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run(docs, store)

    def convert(data: bytes, path: str, url: str) -> object:
        raise KeyError("surprise")

    monkeypatch.setattr("data.reader.convert", convert)
    write(docs, {"a.md": "# A\n\nChanged."})
    report = run(docs, store)
    assert "KeyError" in dict(report.skipped)["a.md"]
    assert (report.removed, store.count()) == ([], 3)


def test_a_file_that_kills_its_process_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real processes: a stand-in package ends the process at one file's name."""
    write(tmp_path, {f"{n:03}.md": f"# {n}\n\nPage {n}." for n in range(60)})
    write(tmp_path / "inject", {"sitecustomize.py": KILLER})
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'inject'}{os.pathsep}{REPO}")
    monkeypatch.setattr("data.reader.os.cpu_count", lambda: 2)
    jobs = [Job(entry, entry.path) for entry in scan(tmp_path, 10**6) if isinstance(entry, Candidate)]
    jobs = [job for job in jobs if job.candidate.path.endswith(".md")]
    outcomes = {outcome.job.candidate.path: outcome for outcome in read_all(jobs)}
    assert len(outcomes) == 60
    skipped = {path: outcome.skipped.reason for path, outcome in outcomes.items() if outcome.skipped}
    assert list(skipped) == ["033.md"]
    assert "crashed" in skipped["033.md"]


KILLER = """
import os, data.convert
real = data.convert.convert
data.convert.convert = lambda data, path, url="": os._exit(9) if path == "033.md" else real(data, path, url)
"""


def test_killed_at_random_points_nothing_is_lost(tmp_path: Path, store: PageStore) -> None:
    """SIGKILL a sync that rewrites every page; after each kill every page is whole, old or new."""
    folder = tmp_path / "docs"
    chance = random.Random(5)
    text = "Some words about the product. " * 40
    names = [f"p{n:03}.md" for n in range(120)]
    write(folder, dict.fromkeys(names, f"# Page\n\nversion 0\n\n{text}\n\nversion 0"))
    run(folder, store)
    store.close()
    kills = 0
    for version in range(1, 9):
        write(folder, dict.fromkeys(names, f"# Page\n\nversion {version}\n\n{text}\n\nversion {version}"))
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(store.path)], cwd=REPO, start_new_session=True
        )
        if version % 2:
            time.sleep(chance.uniform(0.1, 1.5))
        else:  # in the thick of writing
            while child.poll() is None and not any(f"version {version}" in page.body for page in store.pages()):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.05))
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            kills += 1
        child.wait()
        pages = list(store.pages())
        assert [page.url for page in pages] == names
        assert all(page.body.split("\n")[0] == page.body.split("\n")[-1] for page in pages)
    assert kills
    report = run(folder, store)
    assert len(report.changed) + len(report.unchanged) == len(names)
    assert {page.body.split("\n")[0] for page in store.pages()} == {"version 8"}


CHILD = """
import sys
from pathlib import Path
from data.config import DataConfig
from data.store import PageStore
from data.sync import sync_source
if __name__ == "__main__":
    sync_source(sys.argv[1], PageStore(Path(sys.argv[2])), DataConfig())
"""


def test_real_documentation(tmp_path: Path, store: PageStore) -> None:
    if not CORPUS.is_dir():
        pytest.skip(f"{CORPUS} is not there")
    for file in CORPUS.rglob("*.md"):
        write(tmp_path / "docs", {file.relative_to(CORPUS).as_posix(): file.read_bytes()})
    first = run(tmp_path / "docs", store)
    assert (len(first.added), first.skipped) == (132, [])
    assert {page.lang for page in store.pages()} == {"en", "zh"}
    assert all(page.url.startswith(page.lang) for page in store.pages())
    assert len(run(tmp_path / "docs", store).unchanged) == 132
    changed = tmp_path / "docs" / "en" / "Instruction" / "Frequently-asked-questions.md"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n\nOne more answer.\n", encoding="utf-8")
    report = run(tmp_path / "docs", store)
    assert (report.changed, len(report.unchanged)) == (["en/Instruction/Frequently-asked-questions.md"], 131)


def label(folder: Path, store: PageStore, *rules: dict[str, str], **config: object) -> SyncReport:
    return run(folder, store, labels=list(rules), **config)


def shown(store: PageStore) -> dict[str, tuple[str, str]]:
    """Url -> (product, language)."""
    return {page.url: (page.labels.get("product", ""), page.lang) for page in store.pages()}


def test_a_changed_rule_labels_pages_anew_without_opening_a_file(
    docs: Path, store: PageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in docs.rglob("*.*"):
        os.utime(path, (1e9, 1e9))
    label(docs, store, {"match": "guide/**", "product": "Guide"})
    before = {page.url: (page.body, page.content_hash, page.fetched_at) for page in store.pages()}

    def no_reading(jobs: list[Job]) -> list[Outcome]:
        assert not jobs
        return []

    monkeypatch.setattr("data.folder.read_all", no_reading)
    report = label(docs, store, {"match": "guide/**", "product": "Manual", "lang": "zh"})
    assert (report.changed, report.unchanged) == (["guide/b.md"], ["a.md", "c.txt"])
    assert shown(store)["guide/b.md"] == ("Manual", "zh")
    assert {page.url: (page.body, page.content_hash, page.fetched_at) for page in store.pages()} == before
    assert not label(docs, store, {"match": "guide/**", "product": "Manual", "lang": "zh"}).touched
    assert label(docs, store).changed == ["guide/b.md"]
    assert shown(store)["guide/b.md"] == ("", "en")
    assert label(docs, store, product="All").changed == ["a.md", "c.txt", "guide/b.md"]
    assert label(docs, store, product="All", base_url="").unchanged == ["a.md", "c.txt", "guide/b.md"]


def test_a_file_that_was_only_touched_gets_its_new_labels_too(docs: Path, store: PageStore) -> None:
    label(docs, store)
    for path in docs.rglob("*.*"):
        os.utime(path)
    assert label(docs, store, {"match": "**", "product": "P"}).changed == ["a.md", "c.txt", "guide/b.md"]
    assert {product for product, _ in shown(store).values()} == {"P"}

"""How far a sync is, as another process reads it."""

from __future__ import annotations

import json
from pathlib import Path

from data.progress import ProgressFile, read_progress


def test_it_is_there_while_the_sync_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "sync-progress.json"
    assert read_progress(path) is None
    file = ProgressFile(path)
    file.tell("read", 1, 3, "docs/", "a.md")
    file.tell("read", 2, 3, "docs/", "b.md")  # so soon that it is not written
    told = read_progress(path)
    assert told
    assert (told.stage, told.done, told.total, told.source, told.item) == ("read", 1, 3, "docs/", "a.md")
    file.tell("embed", 0, 9)  # another stage, so at once
    told = read_progress(path)
    assert told
    assert (told.stage, told.source, told.since <= told.at) == ("embed", "", True)
    file.close()
    assert read_progress(path) is None
    file.close()


def test_what_a_killed_sync_left_is_nothing_and_another_process_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / "sync-progress.json"
    file = ProgressFile(path)
    file.tell("read", 1, 3)
    kept = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"pid": kept["pid"] + 1}))
    file.close()
    assert read_progress(path)
    path.write_text(json.dumps(kept | {"at": kept["at"] - 3600}))
    assert read_progress(path) is None
    for text in ("", "{", "[]", '{"stage": "read"}'):
        path.write_text(text)
        assert read_progress(path) is None
    ProgressFile(tmp_path / "nowhere" / "x.json").tell("read", 1, 2)  # no folder: the sync goes on

"""Curves: which pictures there are, what is drawn, and a page that holds them without links or foreign markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError
from docduet import app
from sft.training.plot import MEASURES, draw, names, plot, smooth
from sft.training.records import Run, Step, read_run


def log(folder: Path, steps: int, speed: bool = True, validated: bool = True) -> Path:
    version = folder / "v0-20260101-000000"
    version.mkdir(parents=True)
    with (version / "logging.jsonl").open("w") as lines:
        for step in range(1, steps + 1):
            row = {"loss": 2 / step, "grad_norm": 1.0, "learning_rate": 1e-5, "iteration": f"{step}/{steps}"}
            lines.write(json.dumps(row | ({"train_speed(s/it)": 2.0} if speed else {})) + "\n")
        if validated:
            lines.write(json.dumps({"eval_loss": 1.0, "iteration": f"{steps}/{steps}"}) + "\n")
    return folder


def test_a_picture_for_each_measure_that_was_logged(tmp_path: Path) -> None:
    written = plot([read_run(log(tmp_path / "one", 80))], tmp_path / "out")
    assert [path.name for path in written] == [
        "loss.png",
        "grad_norm.png",
        "learning_rate.png",
        "seconds.png",
        "curves.html",
    ]
    for path in written[:-1]:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_run_without_validation_is_drawn_without_it(tmp_path: Path) -> None:
    with_it, without = (read_run(log(tmp_path / name, 20, validated=name == "with")) for name in ("with", "without"))
    assert "validation loss" in plot([with_it], tmp_path / "a")[-1].read_text()
    written = plot([without], tmp_path / "b")
    assert written[0].name == "loss.png"
    assert "validation loss" not in written[-1].read_text()
    assert "validation loss" in plot([with_it, without], tmp_path / "c")[-1].read_text()
    assert "eval_loss" not in without.metrics()


def test_two_runs_lie_over_each_other(tmp_path: Path) -> None:
    runs = [read_run(log(tmp_path / name, steps)) for name, steps in (("one", 80), ("two", 10))]
    (alone,), both = [draw([("one", runs[0])], MEASURES[0])], draw([("one", runs[0]), ("two", runs[1])], MEASURES[0])
    assert len(both) > len(alone)


def test_the_page_is_one_file_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    run = read_run(log(tmp_path / "<script>alert(1)<", 5))
    page = plot([run], tmp_path / "out")[-1].read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page
    assert "src=" not in page.replace('src="data:image/png;base64,', "")


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [read_run(log(tmp_path / where / "run", 3)) for where in ("a", "b")]
    assert names(runs) == ["a/run", "b/run"]


def test_a_run_without_steps_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to draw"):
        plot([Run(tmp_path, None)], tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        plot([Run(tmp_path, None, (Step(1, 2, 1.0),))], tmp_path / "file")


def test_smoothing_keeps_length_level_and_ends() -> None:
    assert smooth([1.0] * 200) == pytest.approx([1.0] * 200)
    spiked = smooth([0.0] * 100 + [9.0] + [0.0] * 99)
    assert len(spiked) == 200
    assert 0 < max(spiked) < 9


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    log(tmp_path / "runs" / "first", 20)
    done = CliRunner().invoke(app, ["sft", "plot", "first", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["runs"]["first"]["steps"] == 20
    assert Path(said["files"][-1]) == tmp_path / "runs" / "first" / "plots" / "curves.html"

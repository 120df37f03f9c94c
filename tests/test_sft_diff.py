"""--diff: what no longer holds is listed and written anew, the rest stays word for word and on its side."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from data.errors import ConfigError
from data.prompts import REFUSAL
from data.types import Page
from docduet import app
from sft.build import build
from sft.imports.writer import ImportWriter
from sft.mixture import Mixture
from sft.previous import compare, read_previous
from sft.rules.writer import RuleWriter
from sft.split import keys, on_one_side, split
from sft.tokens import Estimate
from sft.types import Sample
from tests.test_sft_dataset import apart, docs, sample

MIXTURE = Mixture("m", {"single": 0.6, "broad": 0.3, "unanswerable": 0.1}, repeat=2)
NAMES = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota", "Kappa")


def many() -> list[Page]:
    """Ten pages, each about a widget of its own."""
    first = docs()[0]
    return [
        Page(f"w/{name}.md", f"Widget {name}", first.body.replace("Alpha", name.lower()).replace("_", f"_{name[:3]}_"))
        for name in NAMES
    ]


def changed(pages: list[Page]) -> list[Page]:
    """One page changed, one gone, one new."""
    other = pages[1].body.replace("that are kept", "that are stored for good")
    new = Page("w/New.md", "Widget Lambda", pages[2].body.replace("gamma", "lambda").replace("Gam", "Lam"))
    return [pages[0], replace(pages[1], body=other), *pages[3:], new]


def built(pages: list[Page], out: Path | None, old: Path | None = None, limit: int = 0) -> list[Sample]:
    diff = compare(read_previous(old), pages, {}) if old else None
    facts = build(pages, [RuleWriter()], MIXTURE, Estimate(), 2000, out, val_share=0.2, diff=diff, limit=limit)
    return [*facts.split.train, *facts.split.val]


def sides(folder: Path) -> dict[str, set[str]]:
    previous = read_previous(folder)
    found: dict[str, set[str]] = {}
    for one, side in zip(previous.samples, previous.sides, strict=True):
        for key in (*keys(one), ("id", one.id)):
            found.setdefault(" ".join(key), set()).add(side)
    return found


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the ten pages."""
    folder = tmp_path_factory.mktemp("old") / "ds"
    built(many(), folder)
    return folder


def test_a_dataset_reads_back_as_it_was_built(old: Path) -> None:
    pages = many()
    made = built(pages, None)
    previous = read_previous(old)
    assert [one.id for one in previous.samples] == [one.id for one in made]
    assert [replace(one, support="") for one in made] == list(previous.samples)
    assert previous.pages == {page.url: page.content_hash for page in pages}


def test_what_is_untouched_stays_and_what_changed_is_written_anew(old: Path, tmp_path: Path) -> None:
    pages, new = many(), tmp_path / "new"
    before, sides_before = read_previous(old), sides(old)
    after = changed(pages)
    diff = compare(before, after, {})
    assert diff.changes == {"w/Beta.md": "changed", "w/Gamma.md": "gone", "w/New.md": "new"}
    built(after, new, old)
    now, sides_now = read_previous(new), sides(new)

    touched = {"w/Beta.md", "w/Gamma.md", "w/New.md"}
    kept = [one.id for one in before.samples if not touched & set(one.pages) and one.shape != "unanswerable"]
    left = [one.id for one in now.samples if not touched & set(one.pages) and one.shape != "unanswerable"]
    assert left == kept
    assert all(sides_now[key] == side for key, side in sides_before.items() if key in sides_now)
    assert all(len(side) == 1 for side in sides_now.values())

    texts = {one.answers[0] for one in now.samples if "w/Beta.md" in one.pages}
    assert any("stored for good" in text for text in texts)
    assert not any("that are kept" in text for text in texts)
    assert {url for one in now.samples for url in one.pages} == {page.url for page in after}
    assert now.pages == {page.url: page.content_hash for page in after}
    hashes = {page.url: page.content_hash for page in after}
    assert all(
        hashes[url] == hash_ for one in now.samples for url, hash_ in zip(one.pages, one.page_hashes, strict=True)
    )


def test_a_validation_share_of_none_moves_the_old_validation_set_and_says_so(tmp_path: Path) -> None:
    mixture, after = Mixture("m", {"single": 0.7, "broad": 0.3}), changed(apart())
    build(apart(), [RuleWriter()], mixture, Estimate(), 2000, tmp_path / "old", val_share=0.5)
    before = read_previous(tmp_path / "old")
    diff = compare(before, after, {})
    held = [one for one, side in zip(before.samples, before.sides, strict=True) if side == "val"]
    kept = [one.id for one in held if one in diff.kept]
    facts = build(after, [RuleWriter()], mixture, Estimate(), 2000, tmp_path / "new", val_share=0, diff=diff)
    assert facts.split.val == ()
    assert kept
    assert {*kept} <= {one.id for one in facts.split.train}
    assert not any(reject.gate == "split" for reject in facts.rejects)
    said = f"{len(kept)} samples of the earlier dataset's validation set are learned now"
    assert said in (tmp_path / "new" / "card.md").read_text()
    assert set(read_previous(tmp_path / "new").pins.values()) == {"train"}


def test_it_is_deterministic_and_may_replace_the_old_one(old: Path, tmp_path: Path) -> None:
    pages = many()
    shutil.copytree(old, tmp_path / "b")
    built(changed(pages), tmp_path / "c", old)
    built(changed(pages), tmp_path / "b", tmp_path / "b")
    for name in ("train.jsonl", "val.jsonl", "provenance.jsonl", "build.json"):
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_nothing_changed_gives_the_same_dataset(old: Path, tmp_path: Path) -> None:
    built(many(), tmp_path / "b", old)
    for name in ("train.jsonl", "val.jsonl", "provenance.jsonl"):
        assert (old / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_rebuilt_page_gets_about_as_many_samples_as_a_whole_build_gives_it(tmp_path: Path) -> None:
    pages = many()
    built(pages, tmp_path / "old", limit=100)  # a part of what the pages give
    after = [replace(page, body=page.body + "\n\nThat is all there is.") for page in pages[:5]] + pages[5:]
    whole = len(read_previous(tmp_path / "old").samples)
    assert 0.7 * whole <= len(built(after, None, tmp_path / "old")) <= 1.4 * whole


def test_a_refusal_goes_when_the_docs_answer_it_now(old: Path) -> None:
    pages, previous = many(), read_previous(old)
    refused = next(one for one in previous.samples if one.shape == "unanswerable" and "`" in one.questions[0])
    name = refused.questions[0].split("`")[1]
    diff = compare(previous, [*pages, Page("new.md", "New", f"Set `{name}` to 3.")], {})
    assert {one["why"] for one in diff.as_dict()["samples"] if one["id"] == refused.id} == {"may be answered now"}
    assert REFUSAL["en"] in refused.answers


def test_an_import_that_is_given_again_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "faq.csv"
    path.write_text(
        "question,answer,url\nWhere is it?,Here it is.,w/Beta.md\nWho made it?,We did.,\nWhen was it?,In May.,\n"
    )
    pages, writers = many(), [RuleWriter(), ImportWriter([path])]
    build(pages, writers, MIXTURE, Estimate(), 2000, tmp_path / "ds")
    path.write_text(
        "question,answer,url\nWhere is it?,Here it is.,w/Beta.md\nWho made it?,They did.,\nWhen was it?,In May.,\n"
    )
    after = changed(pages)
    drafted = list(ImportWriter([path]).drafts(after))
    anew = {"import:faq.csv": frozenset(one.id for one in drafted)}
    diff = compare(read_previous(tmp_path / "ds"), after, anew)
    facts = build(after, writers, MIXTURE, Estimate(), 2000, tmp_path / "ds", diff=diff)
    answers = [one.answers[0] for one in facts.mixed.samples if one.shape == "imported"]
    assert sorted(answers) == ["Here it is.", "In May.", "They did."]
    lost = compare(read_previous(tmp_path / "ds"), pages, {})  # the page changes back, the file is not given
    assert {one["why"] for one in lost.as_dict()["samples"] if one["shape"] == "imported"} == {"page changed"}


def test_nothing_ties_training_to_validation() -> None:
    rng = random.Random(5)
    old = [sample(f"q{n}", page=f"p{rng.randrange(60)}", family=f"f{rng.randrange(200)}") for n in range(200)]
    parts = split(old, 0.2)
    pins = {key: side for side in ("train", "val") for one in getattr(parts, side) for key in keys(one)}
    new = [sample(f"n{n}", page=f"p{rng.randrange(40, 90)}", family=f"f{rng.randrange(260)}") for n in range(200)]
    kept, tied = on_one_side(new, pins)
    assert len(kept) + len(tied) == 200
    assert tied
    both = split([*old, *kept], 0.2, sides=pins)
    assert {one.id for one in parts.val} <= {one.id for one in both.val}
    for train, val in ((key, other) for one in both.train for key in keys(one) for other in [both.val]):
        assert not any(train in keys(one) for one in val)


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda folder: (folder / "provenance.jsonl").unlink(), "is no dataset"),
        (lambda folder: (folder / "train.jsonl").write_text(""), "is damaged"),
        (lambda folder: (folder / "build.json").write_text("{"), "is damaged"),
        (lambda folder: swap_lines(folder / "train.jsonl"), "were changed after"),
    ],
)
def test_an_old_dataset_that_does_not_hold_together_is_told(
    old: Path, tmp_path: Path, break_it: Callable[[Path], object], told: str
) -> None:
    shutil.copytree(old, tmp_path / "ds")
    break_it(tmp_path / "ds")
    with pytest.raises(ConfigError, match=told):
        read_previous(tmp_path / "ds")


def swap_lines(path: Path) -> None:
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


def test_the_command_lists_and_rebuilds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.yaml"
    mine.write_text("shares: {single: 0.7, broad: 0.3}")
    out = ["sft", "build", "--out", "ds", "--mixture", str(mine)]
    sync(tmp_path, many()[:4])
    assert run(*out).exit_code == 0
    sync(tmp_path, changed(many()[:4]))
    before = (tmp_path / "ds" / "train.jsonl").read_bytes()
    listed = json.loads(run(*out, "--diff", "ds", "--dry-run", "--json").stdout)
    assert [(page["url"], page["change"]) for page in listed["pages"]] == [
        ("w/Beta.md", "changed"), ("w/Gamma.md", "gone"), ("w/New.md", "new"),
    ]  # fmt: skip
    assert sum(page["samples"] for page in listed["pages"]) == len(listed["samples"]) > 0
    shown = run(*out, "--diff", "ds", "--dry-run").stdout
    assert "changed" in shown
    assert f"{len(listed['samples'])} samples no longer hold, {listed['kept']} are kept" in shown
    assert (tmp_path / "ds" / "train.jsonl").read_bytes() == before
    done = json.loads(run(*out, "--diff", "ds", "--json").stdout)
    assert done["kept"] == listed["kept"]
    again = json.loads(run(*out, "--diff", "ds", "--dry-run", "--json").stdout)
    assert (again["pages"], again["samples"]) == ([], [])


def test_the_command_keeps_the_share_of_the_old_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("shares: {single: 0.7, broad: 0.3}")
    out = ["sft", "build", "--mixture", "mine.yaml", "--json", "--out"]
    sync(tmp_path, apart()[:4])
    halves = json.loads(run(*out, "ds", "--val-share", "0.5").stdout)
    assert halves["val"] > 0
    every = json.loads(run(*out, "every", "--val-share", "0").stdout)
    assert (every["val"], every["train"]) == (0, halves["train"] + halves["val"])
    sync(tmp_path, apart())
    same = json.loads(run(*out, "next", "--diff", "every").stdout)
    assert (same["val"], same["train"] > every["train"]) == (0, True)
    assert json.loads(run(*out, "next", "--diff", "every", "--val-share", "0.5").stdout)["val"] > 0  # the new page
    assert json.loads(run(*out, "next", "--diff", "ds").stdout)["val"] >= halves["val"]
    asked = run(*out, "ds", "--diff", "ds", "--val-share", "0", "--dry-run")
    assert "samples would move from validation to training" in asked.stderr
    assert run(*out, "ds", "--val-share", "0.6").exit_code == 2


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, list(argv))


def sync(tmp_path: Path, pages: list[Page]) -> None:
    folder = tmp_path / "docs" / "w"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for page in pages:
        (tmp_path / "docs" / page.url).write_text(f"# {page.title}\n\n{page.body}\n", encoding="utf-8")
    assert run("data", "sync", str(tmp_path / "docs")).exit_code == 0

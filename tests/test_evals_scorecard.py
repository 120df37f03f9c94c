"""The scorecard: what goes into runs comes out of pages, sentences and the gate, whatever strangers wrote into them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from data.errors import ConfigError
from docduet import app
from evals.answers.summary import summary
from evals.general.results import GeneralRun
from evals.look.text import visible
from evals.runs import EvalRun
from evals.scorecard import build, chart, save_png, to_html, to_markdown
from evals.scorecard.texts import TEXTS
from tests.fake_runs import eval_run, general_run

HOSTILE = "<script>alert(1)</script>\u202e | `x` $\\frac{1}{0}$ **b** [a](javascript:x) {braces}"
BOTH = {"rag": 0.85, "sft": 0.5}


def test_every_arm_of_every_run_is_a_column() -> None:
    before = eval_run(BOTH | {"quote": 0.7}, label="step 200")
    after = eval_run({"sft": 0.8, "base": 0.1}, seed=1, label="step 400")
    card = build([before, after])
    assert [(column.arm, column.label) for column in card.columns] == [
        ("rag", "step 200"),
        ("sft", "step 200"),
        ("quote", "step 200"),
        ("sft", "step 400"),
        ("base", "step 400"),
    ]
    assert [column.quoting for column in card.columns] == [False, False, True, False, False]
    facts = card.all.scores["facts_recalled"]
    truth = [r.facts_recalled for r in before.results if r.arm == "sft" and r.facts_recalled is not None]
    assert facts[1].value == pytest.approx(sum(truth) / len(truth))
    assert facts[1].of == len(truth) == 100
    assert [column.newest for column in card.columns] == [True, False, True, True, True]
    assert card.columns[1].color == card.columns[3].color


def test_the_figures_are_those_that_the_run_printed() -> None:
    run = eval_run(BOTH, length=0.6)
    scores = build([run]).all.scores
    for n, figures in enumerate(summary(run.results).values()):
        for name in scores.keys() & figures.shares.keys():
            found, printed = scores[name][n], figures.shares[name]
            assert found.value == pytest.approx(printed.value), name
            if name != "length_ratio":
                assert (found.low, found.high) == pytest.approx((printed.low, printed.high)), name
        assert scores["latency_ms"][n].value == pytest.approx(figures.times["latency_ms_p50"], rel=0.02)
        assert scores["tokens"][n].value == pytest.approx(figures.tokens_mean)


def test_slices_are_languages_and_kinds_and_add_up() -> None:
    card = build([eval_run(BOTH)])
    parts = {(part.by, part.value): part for part in card.parts}
    assert [value for by, value in parts if by == "kind"] == ["single", "steps", "follow-up", "unanswerable"]
    assert parts["lang", "en"].questions + parts["lang", "zh"].questions == card.all.questions == 120
    assert parts["kind", "unanswerable"].scores["facts_recalled"][0].value is None
    assert parts["kind", "unanswerable"].scores["refusal_recall"] == card.all.scores["refusal_recall"]
    assert parts["kind", "steps"].scores["completeness"][0].of == 20


def test_before_and_after_are_paired_and_a_clear_loss_is_said() -> None:
    runs = [eval_run({"sft": 0.85}, label="first"), eval_run({"sft": 0.5}, seed=1, label="second")]
    card = build(runs)
    (contrast,) = card.contrasts
    facts = contrast.of("facts_recalled")
    assert facts
    assert (contrast.kind, facts.verdict) == ("run", "worse")
    scores = card.all.scores["facts_recalled"]
    assert facts.value == pytest.approx((scores[1].value or 0) - (scores[0].value or 0))
    assert "tells fewer of the facts than “Learned the docs · first”" in card.sentence["en"]
    assert "答出的事实少于“学过文档 · first”" in card.sentence["zh"]
    assert "General ability was not measured" in card.limits["en"]
    same = build([runs[0], eval_run({"sft": 0.85}, seed=2, label="second")])
    assert "No difference is proven" in same.sentence["en"]
    assert "nothing is compared" in build([runs[0]]).sentence["en"]


def test_voices_are_held_against_each_other_and_against_quoting() -> None:
    quoting = eval_run({"rag": 0.7}, label="quote")
    card = build([quoting, eval_run(BOTH | {"sft-rag": 0.9}, seed=1, label="now")])
    pairs = [
        (card.columns[c.before].arm, card.columns[c.before].label, card.columns[c.after].arm) for c in card.contrasts
    ]
    assert pairs[:3] == [("rag", "now", "sft"), ("rag", "now", "sft-rag"), ("sft", "now", "sft-rag")]
    assert pairs[3:] == [("rag", "quote", "rag"), ("rag", "quote", "sft"), ("rag", "quote", "sft-rag")]
    assert "Quotes the docs" in to_html(card)
    assert "Quotes the docs · quote" not in to_html(card)


def test_the_arm_whose_checkpoint_changed_comes_first() -> None:
    def run(step: int) -> EvalRun:
        facts = {"sft": {"model": "tiny", "checkpoint": "runs/a", "checkpoint_step": step}}
        return eval_run(BOTH, seed=step, label=f"step {step}", arms=facts)

    card = build([run(200), run(400)])
    assert [card.columns[contrast.after].arm for contrast in card.contrasts[:2]] == ["sft", "rag"]
    assert "step 400" in to_html(card)


def test_general_ability_is_the_models_and_what_was_not_measured_is_said() -> None:
    runs = [eval_run(BOTH, label="a"), eval_run(BOTH | {"quote": 0.7}, seed=1, label="b")]
    card = build(runs, [general_run({"base": 0.8, "sft": 0.75}, "a"), general_run({"base": 0.8, "sft": 0.4}, "b")])
    assert [score.value for score in card.abilities.total] == [0.8, 0.75, 0.8, pytest.approx(0.4), None]
    assert card.abilities.models == ("base", "sft", "base", "sft", "")
    assert card.abilities.tasks["grammar"][3].of == 60
    assert "lost: 40 % with “Learned the docs · b”, 75 % with “Learned the docs · a”" in card.limits["en"]
    other = build(runs, [general_run({"base": 0.8}, "another label")])
    assert other.abilities.suite == ""
    assert "not measured" in to_html(other)
    twice = build([runs[0], runs[0].model_copy(update={"file": "again.json"})], [general_run({"base": 0.8}, "a")])
    assert twice.abilities.suite == ""  # of which of both runs is it?
    assert build(runs[:1], [general_run({"base": 0.8})]).abilities.total[0].value == 0.8  # there is only one
    mixed = build(
        runs[:1], [general_run({"sft": 0.5}, "a"), general_run({"base": 0.9, "sft": 0.9}, "a", suite="evalscope")]
    )
    assert mixed.abilities.suite == "evalscope"  # what both have
    some = general_run({"base": 1.0, "sft": 0.5}, "a", of=2, started_at="2026-11-27", asked={"items_sha256": "few"})
    card = build(runs[:1], [general_run({"base": 0.8, "sft": 0.75}, "a"), some])
    assert [score.of for score in card.abilities.total] == [180, 180]  # a later look at a few items takes no place


def test_forgetting_is_told() -> None:
    runs = [eval_run({"sft": 0.6}, label="a"), eval_run({"sft": 0.6}, seed=1, label="b")]
    for share, told in (
        (0.4, "was lost: 40 %"),
        (0.79, "No loss of general ability is proven"),
        (0.99, "did not suffer"),
    ):
        card = build(runs, [general_run({"sft": 0.8}, "a"), general_run({"sft": share}, "b")])
        assert told in card.limits["en"]


def test_the_worst_questions_come_first_with_what_they_do_not_say() -> None:
    card = build([eval_run(BOTH)])
    assert len(card.worst) == 10
    sums = [sum(side.score for side in found.sides) for found in card.worst]
    assert sums == sorted(sums)
    assert sums[0] == 0
    assert [side.column for side in card.worst[0].sides] == [0, 1]
    page = to_html(card)
    assert page.count('class="ds-worst"') == 10
    assert "The environment variable overrides" in page
    perfect = build([eval_run({"rag": 2.0}, refuses=2.0)])
    assert [found for found in perfect.worst if not found.sides[0].refused] == []


def test_runs_of_other_questions_stand_beside_and_are_not_compared() -> None:
    other = eval_run({"sft": 0.5}, label="b", set_sha256="b" * 64, set="other")
    card = build([eval_run({"sft": 0.9}, label="a"), other])
    assert card.contrasts == ()
    assert "the question sets differ" in card.problems[0]
    assert "the question sets differ" in to_html(card)
    with pytest.raises(ConfigError, match="no answers"):
        build([eval_run({}, label="none")])
    with pytest.raises(ConfigError, match="17 voices"):
        build([eval_run({f"arm{n}": 0.5 for n in range(17)}, count=6)])


def hostile_run(**more: Any) -> EvalRun:
    found = eval_run({HOSTILE: 0.2, "rag": 0.3}, count=24, label=HOSTILE, set=HOSTILE, **more)
    texts = {
        "question": HOSTILE,
        "answer": f"{HOSTILE}\n| a | b |\n|---|---|\n```\n# out",
        "missing": [HOSTILE, "x" * 10**6],
    }
    texts |= {"sources": ["javascript:alert(1)"], "degraded": HOSTILE, "topic": HOSTILE, "lang": "<b>"}
    results = [
        result.model_copy(update=texts | {"answer": texts["answer"] if n else "y" * 10**6})
        for n, result in enumerate(found.results)
    ]
    return found.model_copy(update={"results": tuple(results)})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_pages_are_whole_and_hold_no_script_and_no_address(lang: str) -> None:
    card = build([hostile_run(), hostile_run(seed=1, started_at="2026-11-27")], problems=[HOSTILE])
    page = to_html(card, lang)
    assert len(page) < 600_000
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert not re.search(r"https?://|url\(|@import|<[^>]*\son\w+=|<a ", page)
    for tag in ("section", "table", "div", "figure", "svg", "span", "details", "blockquote", "ul"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_markdown_holds_what_strangers_wrote_as_text(lang: str) -> None:
    text = to_markdown(build([hostile_run()]), lang)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or []}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    heads = [token.content for n, token in enumerate(tokens) if n and tokens[n - 1].type == "heading_open"]
    assert "out" not in heads
    widths = {row.count("th_open") or row.count("td_open") for row in _rows(tokens)}
    assert widths <= {3, 4, 5, 6}
    assert "\u202e" not in text


def _rows(tokens: list[Any]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif rows:
            rows[-1].append(token.type)
    return rows


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_pictures_are_drawn_whatever_the_names(lang: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    card = build([eval_run({"sft": 0.5, "$\\frac{": 0.5}, count=12, label="<$_{")])
    save_png(card, tmp_path / "card.png", lang)
    assert (tmp_path / "card.png").read_bytes().startswith(b"\x89PNG")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    with pytest.raises(ConfigError, match="cannot be written"):
        save_png(card, tmp_path / "none" / "card.png")
    assert len(chart.COLORS) == 8


def test_what_cannot_be_seen_is_shown() -> None:
    assert visible("a\u202eb\u0000c") == "a‹U+202E›b‹U+0000›c"
    assert visible("👩\u200d💻\n中") == "👩\u200d💻\n中"
    assert visible("x" * 10, 4) == "xxxx … (+6)"


def test_both_languages_say_the_same_things() -> None:
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", chinese[key])), key


def save(run: EvalRun | GeneralRun, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(run.model_dump_json(exclude={"file"}), encoding="utf-8")
    return str(path)


def called(*words: str) -> Result:
    return CliRunner().invoke(app, ["eval", "scorecard", *words])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_the_newest_run_is_shown_and_files_are_written(home: Path, tmp_path: Path) -> None:
    assert "docduet eval run" in str(called().exception)
    save(eval_run(BOTH, count=12, label="old", started_at="2026-11-01"), home / "evals" / "old.json")
    save(eval_run(BOTH, count=12, label="new"), home / "evals" / "new.json")
    save(general_run({"base": 0.5}, "new"), home / "evals" / "general" / "g.json")
    (home / "evals" / "wrong.json").write_text("{}")
    found = called("--out", str(tmp_path / "out"), "--lang", "zh")
    assert found.exit_code == 0, found.output
    assert "事实召回" in found.output
    assert "wrong.json is no evaluation run" in re.sub(r"\s+", " ", found.output)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scorecard.html", "scorecard.md", "scorecard.png"}
    body = json.loads(called("old", str(home / "evals" / "new.json"), "--json").stdout)
    assert body["object"] == "eval_scorecard"
    assert [column["label"] for column in body["columns"]] == ["old", "old", "new", "new"]
    assert [score["value"] for score in body["abilities"]["total"]] == [None, None, 0.5, None]
    assert "no evaluation run 'nothing'" in str(called("nothing").exception)


def test_the_gate_says_by_its_exit_code_what_came_out(home: Path, tmp_path: Path) -> None:
    base = save(eval_run({"rag": 0.85, "sft": 0.8}, 72, label="base"), tmp_path / "base.json")
    good = save(eval_run({"rag": 0.85, "sft": 0.82}, 72, seed=1, label="good"), tmp_path / "good.json")
    bad = save(eval_run({"rag": 0.85, "sft": 0.4}, 72, seed=2, label="bad"), tmp_path / "bad.json")
    other = save(eval_run({"sft": 0.8}, 12, set_sha256="b" * 64, label="other"), tmp_path / "other.json")
    passed, failed, refused = (called(run, "--gate", base) for run in (good, bad, other))
    assert (passed.exit_code, failed.exit_code, refused.exit_code) == (0, 1, 2), failed.output
    assert "Gate passed" in passed.output
    told = re.sub(r"\s+", " ", failed.output)
    assert re.search(r"Learned the docs · bad, Facts recalled: [\d.]+ % before, [\d.]+ % now, −[\d.]+ points \(−", told)
    assert "Reads the docs · bad" not in told.split("Gate not passed")[1]
    assert "the question sets differ" in refused.output
    assert called(bad, "--gate", base, "--margin", "0.6").exit_code == 0
    assert called(good, "--gate", base, "--out", base).exit_code == 2  # a file is there: 1 would say that it is worse
    body = json.loads(called(bad, "--gate", base, "--json").stdout)
    assert body["gate"]["passed"] is False
    assert body["gate"]["failures"][0]["difference"]["measure"] == "facts_recalled"


def test_few_questions_make_valid_json(home: Path, tmp_path: Path) -> None:
    few = save(eval_run(BOTH, count=4), tmp_path / "few.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    body = json.loads(called(few, "--json").stdout, parse_constant=refuse)
    times = [one for one in body["contrasts"][0]["differences"] if one["measure"] == "latency_ms"]
    assert [(one["low"], one["high"]) for one in times] == [(None, None)]


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({"count": 18}, "questions were asked in only one of them"),
        ({"finished": False}, "is not finished"),
        ({"means": {"base": 0.5}}, "no voice answered in both"),
        ({"means": {}}, "no question was asked in both"),
    ],
)
def test_what_cannot_be_compared_never_passes(home: Path, tmp_path: Path, new: dict[str, Any], told: str) -> None:
    base = save(eval_run({"sft": 0.8}, 24), tmp_path / "base.json")
    run = save(eval_run(**({"means": {"sft": 0.8}, "count": 24, "label": "new"} | new)), tmp_path / "new.json")
    found = called(run, "--gate", base)
    assert found.exit_code == 2
    assert told in found.output
    assert called(base, "--gate", base).exit_code == 2  # a run held against itself proves nothing
    assert called(run, "--gate", str(tmp_path / "none.json")).exit_code == 2


def test_the_gate_tells_what_it_did_not_compare_and_leaves_out_the_quoting_peer() -> None:
    base = eval_run({"rag": 0.85, "sft": 0.8}, 72, label="base")
    silent = [r.model_copy(update={"faithful": None}) for r in eval_run({"rag": 0.85}, 72, seed=1).results]
    new = base.model_copy(update={"results": tuple(silent), "label": "new", "file": "new.json"})
    card = build([eval_run({"rag": 0.1}, label="quote"), base, new], baseline=base)
    assert card.gate
    assert card.gate.passed
    assert [(one.arm, one.measures) for one in card.gate.skipped] == [("sft", ()), ("rag", ("faithful",))]
    assert "not compared" in to_html(card)
    assert "没有比较" in to_markdown(card, "zh")

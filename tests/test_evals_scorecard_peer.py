"""The scorecard's peers: quoting beside model and product on every line, and general ability item by item."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from docduet import app
from evals.general.paired import differences
from evals.general.results import GeneralRun, right_of
from evals.runs import EvalRun, Result
from evals.scorecard import build, to_html, to_markdown
from evals.scorecard.results import Contrast, Scorecard
from tests.fake_runs import eval_run, general_run

LANGUAGES = pytest.mark.parametrize("lang", ["en", "zh"])


def product() -> EvalRun:
    """A model's run in which every third answer is quoted for want of confidence, and one engine broke down."""
    run = eval_run({"rag": 0.85}, seed=2, label="product")
    results = list(run.results)
    for n in range(0, len(results), 3):
        results[n] = results[n].model_copy(update={"degraded": "" if results[n].refused else "low confidence"})
    results[1] = results[1].model_copy(update={"degraded": "engine failed: no route to 10.0.0.3"})
    return run.model_copy(update={"results": tuple(results)})


def trio() -> tuple[EvalRun, EvalRun, EvalRun]:
    return eval_run({"rag": 0.8}, seed=1, label="model"), product(), eval_run({"rag": 0.55}, label="quote")


def shown(card: Scorecard, contrast: Contrast) -> tuple[str, str]:
    return card.columns[contrast.before].label, card.columns[contrast.after].label


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_model_product_and_quoting_are_columns_in_any_order(order: tuple[int, ...]) -> None:
    card = build([trio()[n] for n in order])
    assert {column.label: column.quoting for column in card.columns} == {
        "model": False,
        "product": False,
        "quote": True,
    }
    assert [shown(card, one) for one in card.contrasts] == [
        ("model", "product"),
        ("quote", "product"),
        ("quote", "model"),
    ]
    assert "“Reads the docs · product” beats quoting: it tells" in card.peer["en"]
    assert "“Reads the docs · model” beats quoting: it tells" in card.peer["en"]
    assert "“查阅文档 · model”胜过引用原文" in card.peer["zh"]


@LANGUAGES
def test_the_peers_sentence_is_the_paired_difference_of_facts(lang: str) -> None:
    card = build(trio())
    found = card.contrasts[1].of("facts_recalled")
    assert found
    quote, now = trio()[2], trio()[1]
    sides = [{r.id: r.facts_recalled for r in run.results if r.answerable} for run in (quote, now)]
    deltas = [(sides[1][id] or 0) - (sides[0][id] or 0) for id in sides[0]]
    assert found.of == len(deltas) == 100
    assert found.value == pytest.approx(sum(deltas) / len(deltas))
    points = f"{100 * found.value:.1f}"
    for text in (card.peer[lang], to_html(card, lang), to_markdown(card, lang)):
        assert points in text
    assert card.peer[lang].count("100") >= 2


def test_a_model_that_does_not_beat_quoting_is_told_so() -> None:
    quote = eval_run({"rag": 0.8}, label="quote")
    worse = build([quote, eval_run(dict.fromkeys(("rag", "sft"), 0.3), seed=1, label="now")])
    assert "“Reads the docs · now” does not beat quoting: it tells" in worse.peer["en"]
    same = build([quote, eval_run(dict.fromkeys(("rag", "sft"), 0.8), seed=1, label="now")])
    assert "Whether “Learned the docs · now” beats quoting is not proven" in same.peer["en"]
    assert build([eval_run({"rag": 0.8, "sft": 0.3})]).peer == {"en": "", "zh": ""}


def test_the_fallbacks_share_and_reasons_are_lines() -> None:
    card = build(trio())
    column = {column.label: column for column in card.columns}
    assert column["model"].fallbacks == {}
    assert list(column["product"].fallbacks) == ["low confidence", "engine failed"]
    share = card.all.scores["degraded"][1]
    assert share.value == pytest.approx(sum(column["product"].fallbacks.values()) / 120)
    assert share.low < (share.value or 0) < share.high
    page = to_html(card)
    assert "Quoted instead" in page
    assert f"low confidence {column['product'].fallbacks['low confidence']}, engine failed 1" in page


def test_what_is_called_quoting_must_be_and_what_is_is_seen() -> None:
    called = eval_run({"rag": 0.8}, label="quote").results
    written = [result.model_copy(update={"degraded": ""}) for result in called]
    wrong = eval_run({}, label="quote").model_copy(update={"results": tuple(written)})
    card = build([wrong, eval_run({"rag": 0.8}, seed=1, label="now")])
    assert [column.quoting for column in card.columns] == [False, False]
    assert "quote.json is called quote, but a model wrote in it" in card.problems[0]
    first, second = (eval_run({"rag": 0.5}, seed=n, label="quote").model_copy(update={"label": f"{n}"}) for n in (1, 2))
    both = build([first, second])  # the quoting mode at two settings is before and after
    assert [column.quoting for column in both.columns] == [True, True]
    assert [(one.kind, *shown(both, one)) for one in both.contrasts] == [("run", "1", "2")]
    silent = [Result.model_validate({"id": "q", "arm": "rag", "refused": True, "answerable": False})]
    only_refusals = EvalRun(object="eval_run", set="s", label="quote", results=tuple(silent))
    assert build([only_refusals]).columns[0].quoting


def mixed(arm: str, wins: int, losses: int, label: str) -> GeneralRun:
    """60 items: the base model has the first 40 right; ``arm`` loses some of them and wins some others."""
    right = {"base": [n < 40 for n in range(60)], arm: [losses <= n < 40 + wins for n in range(60)]}
    answers = [
        {"id": str(n), "task": "copying", "arm": name, "right": one, "answer": ""}
        for name, row in right.items()
        for n, one in enumerate(row)
    ]
    scores = {name: {"copying": {"score": sum(row) / 60, "of": 60, "right": sum(row)}} for name, row in right.items()}
    body = {"suite": "probes", "started_at": "2026-11-26T06:00:00Z", "label": label, "arms": scores, "answers": answers}
    return GeneralRun.model_validate(body)


@pytest.mark.parametrize(("wins", "losses", "verdict"), [(0, 8, "lost"), (12, 20, "open"), (9, 0, "gained")])
def test_forgetting_is_what_eval_general_says_of_the_same_answers(wins: int, losses: int, verdict: str) -> None:
    """Both lost a net 8 of 60: eight items lost and none won is a loss, twenty lost and twelve won is chance."""
    run = mixed("sft", wins, losses, "a")
    card = build([eval_run({"rag": 0.8, "sft": 0.7}, label="a")], [run])
    (change,) = card.abilities.changes
    told = differences("base", "sft", right_of(run.answers))[0]
    assert (change.value, change.low, change.high, change.p) == (told.delta, told.low, told.high, told.p)
    assert (change.gained, change.lost, change.of) == (wins, losses, 60)
    assert change.verdict == told.verdict == verdict
    assert (change.first, change.second) == (pytest.approx(40 / 60), pytest.approx((40 + wins - losses) / 60))
    counts = f"of 60 items, {losses} were lost and {wins} gained"
    assert counts in card.limits["en"]
    assert to_html(card).count(counts) == 2  # on top, and with the table
    assert counts in to_markdown(card)


def test_without_the_answers_nothing_is_said_of_forgetting() -> None:
    bare = general_run({"base": 0.8, "sft": 0.4}, "a").model_copy(update={"answers": ()})
    card = build([eval_run({"rag": 0.8, "sft": 0.7}, label="a")], [bare])
    assert card.abilities.changes == ()
    assert card.abilities.total[1].value == pytest.approx(0.4)
    assert "do not keep answers to the same items" in card.limits["en"]


def test_the_command_takes_all_three_by_their_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    (tmp_path / "evals").mkdir()
    for run in trio():
        (tmp_path / "evals" / f"{run.label}.json").write_text(run.model_dump_json(exclude={"file"}))
    said = CliRunner().invoke(app, ["eval", "scorecard", "model", "product", "quote"])
    assert "beats quoting" in " ".join(said.stdout.split())
    assert "Quoted instead" in said.stdout
    body = json.loads(CliRunner().invoke(app, ["eval", "scorecard", "model", "product", "quote", "--json"]).stdout)
    assert [column["fallbacks"].get("low confidence", 0) > 0 for column in body["columns"]] == [False, True, False]
    assert "beats quoting" in body["peer"]["en"]

"""Fitting on made-up labels whose truth is known, and never on too few or against a better router."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ConfigError
from serving.router import outcomes, simulate
from serving.router.features import NAMES
from serving.router.fit import fit
from serving.router.labels import Label, once_each, read_labels, write_labels
from serving.router.model import read_model, write_model
from serving.router.study import Study, study
from serving.router.votes import of_vote


def made_up(count: int, seed: int = 0) -> list[Label]:
    """Labels by simulate.truth over features drawn at random: no index is needed."""
    chance = random.Random(seed)
    kinds = [name for name in NAMES if name.startswith("is_")]
    labels = []
    for number in range(count):
        kind = chance.choice(kinds)
        features = {**dict.fromkeys(NAMES, 0.0), kind: 1.0, "verdict": chance.random(), "trained": chance.random()}
        features |= {"named": float(chance.random() < 0.2), "stale": chance.choice([0.0, 0.0, 0.5])}
        features["unknown"] = 0.6 * chance.random() * (1 - features["verdict"])
        labels.append(simulate.label(f"question {number}", "en", features, chance))
    return labels


@pytest.fixture(scope="module")
def fitted() -> Study:
    return study(made_up(500), None, target_risk=0.2)


def test_the_fit_finds_what_is_there(fitted: Study) -> None:
    """Better than any single voice, out of fold and held out, and near what knowing the truth would give."""
    for found in (fitted.fitted.expected, fitted.held_out):
        figures = outcomes.accuracies(found)
        assert figures["router"] > max(figures["always rag"], figures["always sft"]) + 0.04
        assert figures["router"] <= figures["oracle"]
    assert fitted.best_possible is not None
    assert outcomes.accuracies(fitted.fitted.expected)["router"] > fitted.best_possible - 0.05
    assert fitted.better
    assert fitted.model.simulated
    assert fitted.model.voices["sft"].weights["named"] < -1
    assert fitted.model.voices["rag"].weights["verdict"] > 2


def test_probabilities_are_calibrated(fitted: Study) -> None:
    """On questions that were never fitted on, against the probabilities that their labels were drawn with."""
    fresh = made_up(4000, seed=1)
    for arm in ("rag", "sft"):
        believed = np.array([fitted.model.voices[arm].score(label.features) for label in fresh])
        true = np.array([simulate.truth(label.features)[arm] for label in fresh])
        assert abs(believed.mean() - true.mean()) < 0.07
        assert np.abs(believed - true).mean() < 0.12


def test_refusals_keep_the_target_risk_where_it_can_be_kept(fitted: Study) -> None:
    model, expected = fitted.model, fitted.fitted.expected
    assert fitted.fitted.target_reached
    assert 0 < model.refuse_below < 1
    answered = outcomes.confidence(expected) >= model.refuse_below
    assert 1 - outcomes.picked_right(expected)[answered].mean() <= 0.2
    assert 0.3 < answered.mean() < 1
    figures = outcomes.policy_figures(expected, model.margin, model.refuse_below)
    assert figures["one"] + figures["both"] + figures["refused"] == pytest.approx(1)
    assert 0 < figures["both"] <= 0.3
    assert figures["pair_right"] > 1 - figures["risk"]


def test_an_impossible_target_is_said_to_be_one() -> None:
    found = fit(made_up(130, seed=3), target_risk=0.01)
    assert not found.target_reached


def test_the_router_refuses_first_what_it_gets_wrong(fitted: Study) -> None:
    areas = {name: outcomes.aurc(curve) for name, curve in outcomes.curves(fitted.fitted.expected).items()}
    assert areas["oracle"] < areas["router"] < areas["always rag"]


def test_risk_over_coverage_by_hand() -> None:
    right = np.array([True, False, True])
    assert outcomes.risk_at_coverage(right, np.array([0.9, 0.1, 0.5])).tolist() == [0, 0, pytest.approx(1 / 3)]
    assert outcomes.risk_at_coverage(right, np.array([0.1, 0.9, 0.5])).tolist() == [1, 0.5, pytest.approx(1 / 3)]


def test_calibration_by_hand() -> None:
    labels = [Label(question=f"q{n}", arms={"rag": n < 3, "sft": n < 1}) for n in range(4)]
    found = outcomes.outcomes(labels, ("rag", "sft"), np.tile([0.75, 0.65], (4, 1)))
    assert outcomes.ece(found) == {"rag": 0.0, "sft": pytest.approx(0.4)}
    assert outcomes.brier(found)["rag"] == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)
    assert outcomes.accuracies(found) == {"router": 0.75, "always rag": 0.75, "always sft": 0.25, "oracle": 0.75}
    assert outcomes.reliability(found)["rag"] == [{"count": 4.0, "believed": 0.75, "good": 0.75}]


def test_too_few_labels_say_how_many_it_takes() -> None:
    with pytest.raises(ConfigError, match=r"rag lacks about \d+ questions.*80 judged questions"):
        study(made_up(30), None, 0.2)
    alone = [label.model_copy(update={"arms": {"rag": label.arms["rag"]}}) for label in made_up(200)]
    with pytest.raises(ConfigError, match=r"too few labels to fit on: sft lacks about 80 questions\. "):
        study(alone, None, 0.2)
    one_sided = [label.model_copy(update={"arms": {**label.arms, "rag": True}}) for label in made_up(200)]
    with pytest.raises(ConfigError, match="rag lacks 12 that it answered badly"):
        study(one_sided, None, 0.2)
    apart = [label.model_copy(update={"arms": {arm: label.arms[arm]}})
             for n, label in enumerate(made_up(300)) for arm in [("rag", "sft")[n % 2]]]  # fmt: skip
    with pytest.raises(ConfigError, match=r"only 0 questions were judged for all of rag, sft"):
        study(apart, None, 0.2)


def test_a_better_router_is_never_replaced(fitted: Study) -> None:
    """What is fitted on labels with the voices swapped looks good on those, and is wrong on the held-out questions."""
    labels = made_up(200, seed=4)
    swapped = [
        label
        if label.held_out
        else label.model_copy(update={"arms": dict(zip(label.arms, [*label.arms.values()][::-1], strict=True))})
        for label in labels
    ]
    result = study(swapped, fitted.model, 0.2)
    assert not result.better
    assert "the current router does better" in result.verdict


def test_a_router_as_good_as_the_current_one_may_take_its_place(fitted: Study) -> None:
    again = study(made_up(500), fitted.model, 0.2)
    assert again.better
    assert again.model.voices == fitted.model.voices


def test_no_router_where_choosing_is_of_no_use() -> None:
    chance = random.Random(2)
    labels = [label.model_copy(update={"arms": {"rag": chance.random() < 0.8, "sft": chance.random() < 0.3}})
              for label in made_up(130)]  # fmt: skip
    result = study(labels, None, 0.3)
    assert not result.better
    assert "not better than always rag" in result.verdict


def test_the_router_is_written_and_read_as_it_is(fitted: Study, tmp_path: Path) -> None:
    path = tmp_path / "home" / "router.json"
    write_model(path, fitted.model)
    assert read_model(path) == fitted.model
    assert [found.name for found in path.parent.iterdir()] == ["router.json"]
    json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "change",
    [
        {"voices": {}},
        {"voices": {"sft": {"intercept": 0, "weights": {}}}},
        {"voices": {"rag": {"intercept": 0, "weights": {"magic": 1}}}},
        {"voices": {"rag": {"intercept": float("nan"), "weights": {}}}},
        {"margin": 2},
        {"format": 99},
    ],
)
def test_a_router_that_cannot_be_used_is_refused(change: dict[str, Any], fitted: Study, tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    path.write_text(json.dumps(fitted.model.model_dump(mode="json") | change), encoding="utf-8")
    with pytest.raises(ConfigError, match="docduet route fit"):
        read_model(path)


def test_label_files(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    labels = [
        Label(question="How?", arms={"rag": True}, lang="en"),
        Label(question="怎么？", arms={"rag": False, "sft": True}, history=({"role": "user", "content": "x"},)),  # type: ignore[arg-type]
    ]
    write_labels(path, labels)
    assert read_labels(path) == labels
    assert labels[1].language == "zh"
    assert once_each([*labels, Label(question="How?", arms={"sft": False})])[0].arms == {"rag": True, "sft": False}
    path.write_text(
        '{"question": "a", "arms": {"rag": 1}}\n\n{"question": "b", "arms": {"oracle": 1}}\n', encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"line 3: arms: unknown voice 'oracle'; there are: rag, sft, sft-rag"):
        read_labels(path)


def test_votes_as_labels() -> None:
    assert of_vote(["rag", "sft"], "0") == {"rag": True, "sft": False}
    assert of_vote(["sft", "rag"], "1") == {"sft": False, "rag": True}
    assert of_vote(["rag", "sft"], "tie") == {"rag": True, "sft": True}
    assert of_vote(["rag", "sft"], "both_bad") == {"rag": False, "sft": False}

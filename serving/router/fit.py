"""Fit a router on labels: for each voice a calibrated logistic regression, then the margin and the refusal threshold.

scikit-learn is imported here and nowhere else; what comes out is plain coefficients (model.py). All figures that decide
anything are out of fold: no question is judged by coefficients that were fitted on it.

Calibration: Platt scaling of the regression's own out-of-fold logits (Platt 1999), folded into the coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import ConfigError
from serving.router.decide import ARMS
from serving.router.features import NAMES
from serving.router.labels import Label
from serving.router.model import RouterModel, Voice
from serving.router.outcomes import Flags, Outcomes, Rows, confidence, outcomes, picked_right, ranked_by, regret

MIN_LABELS = 80
"""Questions that every voice was judged on; a fifth of them is held out."""

MIN_EACH = 12
"""... on which each voice did well, and on which it did not."""

FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.5)
"""Inverse of the regularisation that are tried, by log loss: a few hundred labels carry no more."""

MAX_REGRET = 0.05
"""Share of single answers for which the voice that was not asked would have been right and the asked one was not."""

MAX_BOTH = 0.25
"""Share of questions that both may answer: reading two answers is work."""


@dataclass(frozen=True)
class Fitted:
    """``expected``: the labels that were fitted on, with out-of-fold scores."""

    model: RouterModel
    expected: Outcomes
    target_reached: bool


def fit(labels: Sequence[Label], target_risk: float, seed: int = 0) -> Fitted:
    """Fit on ``labels``, all with features and none held out. Raises ConfigError when they are too few."""
    arms = voices_of(labels)
    together = [label for label in labels if all(arm in label.arms for arm in arms)]
    own = {arm: [label for label in labels if arm in label.arms] for arm in arms}
    strengths = {arm: _strength(*_table(own[arm], arm), seed) for arm in arms}
    scores = np.column_stack([_out_of_fold(own[arm], together, arm, strengths[arm], seed) for arm in arms])
    expected = outcomes(together, arms, scores)
    refuse_below, reached = _refuse_below(expected, target_risk)
    model = RouterModel(
        simulated=any(label.simulated for label in labels),
        voices={arm: fit_voice(*_table(own[arm], arm), strengths[arm], seed) for arm in arms},
        margin=_margin(expected),
        refuse_below=refuse_below,
        target_risk=target_risk,
        labels=len(labels),
    )
    return Fitted(model, expected, reached)


def voices_of(labels: Sequence[Label]) -> tuple[str, ...]:
    """The voices that there are labels enough for. Raises ConfigError that says how many more it takes."""
    counts = {arm: [label.arms[arm] for label in labels if arm in label.arms] for arm in ARMS}
    lacking = {arm: lack for arm, judged in counts.items() if (lack := _lacking(arm, judged))}
    enough = tuple(arm for arm in ARMS if arm not in lacking)
    if "rag" not in enough or len(enough) < 2:
        judged = [lacking[arm] for arm in ARMS if arm in lacking and (counts[arm] or arm != "sft-rag")]
        raise ConfigError(
            f"too few labels to fit on: {'; '.join(judged)}. "
            f"It takes rag and one more voice with {MIN_LABELS} judged questions each, {MIN_EACH} of them well and "
            f"{MIN_EACH} badly answered: collect votes, or see `docduet route fit --help` for label files"
        )
    together = sum(all(arm in label.arms for arm in enough) for label in labels)
    if together < MIN_LABELS * 4 // 5:
        raise ConfigError(
            f"only {together} questions were judged for all of {', '.join(enough)}; it takes {MIN_LABELS}: "
            f"have {MIN_LABELS - together} more answered by all of them"
        )
    return enough


def _lacking(arm: str, judged: Sequence[bool]) -> str:
    wanted = MIN_LABELS * 4 // 5  # what is held out is not among these
    well = sum(judged)
    if len(judged) < wanted:
        return f"{arm} lacks about {round((wanted - len(judged)) * 5 / 4)} questions"
    for said, found in (("well", well), ("badly", len(judged) - well)):
        if found < MIN_EACH:
            return f"{arm} lacks {MIN_EACH - found} that it answered {said}"
    return ""


def fit_voice(rows: Rows, good: Flags, strength: float, seed: int) -> Voice:
    """One voice's calibrated coefficients, for features as they are. ``rows``: (questions, features)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    pipe = _pipe(strength)
    logits = cross_val_predict(pipe, rows, good, cv=parts, method="decision_function")
    platt = LogisticRegression(C=1e4).fit(logits[:, None], good)
    slope, shift = max(0.0, float(platt.coef_[0, 0])), float(platt.intercept_[0])
    scale, regression = pipe.fit(rows, good).steps[0][1], pipe.steps[1][1]
    weights = slope * regression.coef_[0] / scale.scale_
    intercept = slope * float(regression.intercept_[0]) + shift - float(weights @ scale.mean_)
    named = {name: round(float(weight), 5) for name, weight in zip(NAMES, weights, strict=True) if abs(weight) > 1e-6}
    return Voice(intercept=round(intercept, 5), weights=named)


def _strength(rows: Rows, good: Flags, seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    losses = {c: cross_val_score(_pipe(c), rows, good, cv=parts, scoring="neg_log_loss").mean() for c in STRENGTHS}
    return max(losses, key=lambda c: losses[c])


def _pipe(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, solver="newton-cholesky"))


def _out_of_fold(labels: Sequence[Label], together: Sequence[Label], arm: str, strength: float, seed: int) -> Rows:
    """Scores for ``together`` (all of them judged for every voice), each by coefficients fitted without it."""
    from sklearn.model_selection import KFold

    scores = np.zeros(len(together))
    own = {id(label) for label in together}
    others = [label for label in labels if id(label) not in own]
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(len(together))):
        voice = fit_voice(*_table([*(together[i] for i in train), *others], arm), strength, seed)
        scores[test] = [voice.score(together[i].features) for i in test]
    return scores


def _table(labels: Sequence[Label], arm: str) -> tuple[Rows, Flags]:
    rows = [[float(label.features.get(name, 0.0)) for name in NAMES] for label in labels]
    return np.array(rows), np.array([label.arms[arm] for label in labels], dtype=bool)


def _refuse_below(expected: Outcomes, target_risk: float) -> tuple[float, bool]:
    """The lowest threshold at which (wrong + 1) / (answered + 1) keeps to the target: one more than was seen counts as
    wrong, so that a few lucky answers are no promise. (threshold, True), or the best that there is and False."""
    right, sure = picked_right(expected), confidence(expected)
    order = ranked_by(sure)
    wrong = np.cumsum(~right[order])
    answered = np.arange(1, len(order) + 1)
    risk = (wrong + 1) / (answered + 1)
    within = np.flatnonzero(risk <= target_risk)
    last = int(within[-1]) if len(within) else int(np.argmin(np.where(answered >= len(order) / 2, risk, 2.0)))
    everything = last == len(order) - 1
    return (0.0 if everything else round(float(sure[order[last]]), 4)), bool(len(within))


def _margin(expected: Outcomes) -> float:
    """The smallest margin that keeps to MAX_REGRET, as far as MAX_BOTH allows one."""
    two = np.sort(expected.scores, axis=1)[:, -2:]
    gaps = two[:, 1] - two[:, 0]
    for share in np.arange(0.0, MAX_BOTH + 1e-9, 0.05):
        margin = float(np.quantile(gaps, share)) if share else 0.0
        if regret(expected, gaps >= margin) <= MAX_REGRET:
            break
    return round(margin, 4)

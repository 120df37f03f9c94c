"""What a router's choices come to on labelled questions: accuracy beside its peers', calibration, risk and coverage.

Pure numpy. AURC: the mean risk over all coverages (Geifman, Uziel and El-Yaniv 2019); ECE: over ten bins of equal width
(Naeini et al. 2015); Brier: mean squared error of the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.router.decide import Policy, decide, weigh
from serving.router.labels import Label
from serving.router.model import RouterModel

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

BINS = 10
_ARRAYS = ("good", "scores", "chosen", "named", "verdict")


@dataclass(frozen=True)
class Outcomes:
    """Labelled questions and what a router believes. ``good``, ``scores``: (questions, arms), in the order of ``arms``;
    ``chosen``: for each question the arm that would answer alone (number)."""

    arms: tuple[str, ...]
    good: Flags
    scores: Rows
    chosen: NDArray[np.int64]
    named: Flags
    verdict: Rows


def outcomes(labels: Sequence[Label], arms: tuple[str, ...], scores: Rows) -> Outcomes:
    """``labels``: all judged for all ``arms``."""
    good = np.array([[label.arms[arm] for arm in arms] for label in labels], dtype=bool).reshape(-1, len(arms))
    named = np.array([label.features.get("named", 0.0) > 0 for label in labels], dtype=bool)
    alone = [
        decide(_policy(arms, row), ["named"] * int(name), "en").arms[0] for row, name in zip(scores, named, strict=True)
    ]
    chosen = np.array([arms.index(arm) for arm in alone], dtype=np.int64)
    verdict = np.array([label.features.get("verdict", 0.0) for label in labels])
    return Outcomes(arms, good, scores, chosen, named, verdict)


def of_router(labels: Sequence[Label], arms: tuple[str, ...], model: RouterModel | None) -> Outcomes:
    """The outcomes of a fitted router, or of the untrained default. ``labels``: all judged for all ``arms``."""
    rows = [weigh(label.features, arms, model).scores for label in labels]
    scores = np.array([[row.get(arm, 0.0) for arm in arms] for row in rows]).reshape(-1, len(arms))
    return outcomes(labels, arms, scores)


def joined(one: Outcomes, other: Outcomes) -> Outcomes:
    """Both sets of questions, over the same arms."""
    arrays = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _ARRAYS}
    return Outcomes(one.arms, **arrays)


def _policy(arms: Sequence[str], row: Rows, margin: float = 0.0, refuse_below: float = 0.0) -> Policy:
    return Policy(dict(zip(arms, map(float, row), strict=True)), margin, refuse_below)


def picked_right(found: Outcomes) -> Flags:
    """Whether the arm that answers alone answers well."""
    picked: Flags = found.good[np.arange(len(found.good)), found.chosen]
    return picked


def confidence(found: Outcomes) -> Rows:
    """The score of the arm that answers alone: below the threshold the question is refused."""
    sure: Rows = found.scores[np.arange(len(found.scores)), found.chosen]
    return sure


def _possible(found: Outcomes) -> Flags:
    possible: Flags = np.any(found.good, axis=1)
    return possible


def regret(found: Outcomes, alone: Flags) -> float:
    """Of those that one arm answers: the share where it is wrong and another would have been right."""
    missed = ~picked_right(found) & _possible(found)
    return float(missed[alone].mean()) if alone.any() else 0.0


def accuracies(found: Outcomes) -> dict[str, float]:
    """The router (one arm, nothing refused), each arm always, and the oracle, which knows which one is right."""
    always = {f"always {arm}": float(found.good[:, n].mean()) for n, arm in enumerate(found.arms)}
    return {"router": float(picked_right(found).mean()), **always, "oracle": float(found.good.any(axis=1).mean())}


def policy_figures(found: Outcomes, margin: float, refuse_below: float) -> dict[str, float]:
    """What people would see: shares of one answer, of both and of refusals; ``risk``: share of what is answered that is
    wrong, where a pair counts as its first; ``pair_right``: of the pairs, the share with at least one right."""
    sizes = []
    for row, named in zip(found.scores, found.named, strict=True):
        sizes.append(len(decide(_policy(found.arms, row, margin, refuse_below), ["named"] * int(named), "en").arms))
    shown = np.array(sizes)
    right, best = picked_right(found), np.argsort(-found.scores, axis=1)[:, :2]
    pairs: Flags = np.any(np.take_along_axis(found.good, best, axis=1), axis=1)
    return {
        "one": float((shown == 1).mean()),
        "both": float((shown == 2).mean()),
        "refused": float((shown == 0).mean()),
        "risk": float(1 - right[shown > 0].mean()) if (shown > 0).any() else 0.0,
        "pair_right": float(pairs[shown == 2].mean()) if (shown == 2).any() else 0.0,
    }


def brier(found: Outcomes) -> dict[str, float]:
    """Arm -> mean squared error of its probabilities (0.25: a coin)."""
    return {arm: float(((found.scores[:, n] - found.good[:, n]) ** 2).mean()) for n, arm in enumerate(found.arms)}


def reliability(found: Outcomes) -> dict[str, list[dict[str, float]]]:
    """Arm -> bins of equal width: how many, mean probability, share that was good. Empty bins are left out."""
    return {arm: _bins(found.scores[:, n], found.good[:, n]) for n, arm in enumerate(found.arms)}


def ece(found: Outcomes) -> dict[str, float]:
    """Arm -> expected calibration error: how far probabilities and shares are apart, weighted by the bins' sizes."""
    return {
        arm: sum(b["count"] * abs(b["believed"] - b["good"]) for b in bins) / max(1, len(found.good))
        for arm, bins in reliability(found).items()
    }


def _bins(believed: Rows, good: Flags) -> list[dict[str, float]]:
    which = np.minimum((believed * BINS).astype(int), BINS - 1)
    found = []
    for n in np.unique(which):
        inside = which == n
        means = {"believed": float(believed[inside].mean()), "good": float(good[inside].mean())}
        found.append({"count": float(inside.sum()), **means})
    return found


def ranked_by(sureness: Rows) -> NDArray[np.int64]:
    """Surest first; equals in the order they came."""
    order: NDArray[np.int64] = np.argsort(-sureness, kind="stable")
    return order


def risk_at_coverage(right: Flags, sureness: Rows) -> Rows:
    """Share of wrong answers when only the k surest questions are answered, for k = 1 to all."""
    wrong = np.cumsum(~right[ranked_by(sureness)])
    risk: Rows = wrong / np.arange(1, len(right) + 1)
    return risk


def curves(found: Outcomes) -> dict[str, Rows]:
    """Risk over coverage: the router, rag alone by the search's own verdict, and the oracle."""
    curves = {"router": risk_at_coverage(picked_right(found), confidence(found))}
    if "rag" in found.arms:
        curves["always rag"] = risk_at_coverage(found.good[:, found.arms.index("rag")], found.verdict)
    possible = _possible(found)
    return curves | {"oracle": risk_at_coverage(possible, possible.astype(float))}


def aurc(curve: Rows) -> float:
    return float(curve.mean())


def labels_to_show(found: Outcomes) -> int:
    """Questions it takes to show (80 % power, 5 % error) that the router differs from the best single arm by as much as
    it did here: n = 7.85 * (share where just one of both is right) / difference^2; 0 where it is no better."""
    router = picked_right(found)
    single = max((found.good[:, n] for n in range(len(found.arms))), key=lambda good: good.mean())
    gain = float(router.mean() - single.mean())
    return int(np.ceil(7.85 * float((router != single).mean()) / gain**2)) if gain > 0 else 0


def as_dict(found: Outcomes, margin: float, refuse_below: float) -> dict[str, Any]:
    """For --json."""
    return {
        "questions": len(found.good),
        "accuracy": accuracies(found),
        "policy": policy_figures(found, margin, refuse_below),
        "brier": brier(found),
        "ece": ece(found),
        "reliability": reliability(found),
        "aurc": {name: aurc(curve) for name, curve in curves(found).items()},
    }

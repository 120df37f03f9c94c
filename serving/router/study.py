"""From labels to a router, the whole way: measure, fit, judge on held-out questions, and replace the old one only by a
better one. `docduet route fit` (cli.py) shows what came of it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data.errors import ConfigError
from data.types import Page
from rag.live import LiveIndex
from serving.arms.retrieval import find
from serving.arms.turn import Turn
from serving.router import outcomes, simulate
from serving.router.features import Learned, measure
from serving.router.fit import Fitted, fit
from serving.router.labels import Label
from serving.router.model import RouterModel
from serving.router.outcomes import Outcomes

Progress = Callable[[int, int], None]

LEAST_HELD_OUT = 12
"""Questions on which two routers can be compared at all."""


@dataclass(frozen=True)
class Study:
    """What a fit came to. ``held_out``: the new router and the ``current`` one on questions neither was fitted on."""

    fitted: Fitted
    held_out: Outcomes
    current: Outcomes
    verdict: str
    better: bool
    best_possible: float | None = None

    @property
    def model(self) -> RouterModel:
        return self.fitted.model

    def as_dict(self) -> dict[str, Any]:
        """For --json; ``cross_validated``: every question judged by coefficients that were fitted without it."""
        model = self.model
        said = {
            "simulated": model.simulated,
            "labels": model.labels,
            "cross_validated": outcomes.as_dict(self.fitted.expected, model.margin, model.refuse_below),
            "held_out": outcomes.as_dict(self.held_out, model.margin, model.refuse_below),
            "held_out_current": outcomes.accuracies(self.current),
            "margin": model.margin,
            "refuse_below": model.refuse_below,
            "target_risk": model.target_risk,
            "target_reached": self.fitted.target_reached,
            "better": self.better,
            "verdict": self.verdict,
        }
        return said if self.best_possible is None else said | {"best_possible": self.best_possible}


def study(labels: Sequence[Label], current: RouterModel | None, target_risk: float, seed: int = 0) -> Study:
    """Fit on four fifths of ``labels`` (all with features) and compare with ``current`` (None: the untrained default).
    Raises ConfigError when they are too few."""
    fitted = fit([label for label in labels if not label.held_out], target_risk, seed)
    arms = fitted.expected.arms
    judged = [label for label in labels if all(arm in label.arms for arm in arms)]
    held = [label for label in judged if label.held_out]
    if len(held) < LEAST_HELD_OUT:
        raise ConfigError(
            f"only {len(held)} of the held-out questions were judged for all of {', '.join(arms)}; it takes "
            f"{LEAST_HELD_OUT} to compare routers: about {5 * (LEAST_HELD_OUT - len(held))} more labelled questions"
        )
    fresh, old = outcomes.of_router(held, arms, fitted.model), outcomes.of_router(held, arms, current)
    figures = outcomes.accuracies(fitted.expected)
    fitted = _with_metrics(fitted, figures | {"held out": outcomes.accuracies(fresh)["router"]})
    new, was = (fresh, old) if current else _everywhere(judged, fitted.expected, fresh)
    better, verdict = _verdict(fitted.expected, new, was, "the current router" if current else "the untrained default")
    best = (
        simulate.best_possible([label for label in labels if not label.held_out])
        if all(label.simulated for label in labels)
        else None
    )
    return Study(fitted, fresh, old, verdict, better, best)


def measured(
    labels: Sequence[Label], live: LiveIndex, learned: Learned | None, progress: Progress = lambda done, total: None
) -> list[Label]:
    """The labels with features, measured on the live index where they have none. Raises NoIndexError."""

    async def every() -> list[Label]:
        done = []
        for number, label in enumerate(labels, start=1):
            done.append(label if label.features else await _measured(label, live, learned))
            progress(number, len(labels))
        return done

    return asyncio.run(every())


def simulated(
    pages: Sequence[Page], live: LiveIndex, count: int, seed: int, progress: Progress = lambda done, total: None
) -> list[Label]:
    """``count`` labels with a known truth (simulate.py) over the live index. Raises ConfigError or NoIndexError."""
    asked = [Label(question=question, arms={"rag": False}) for question in simulate.questions(pages, count, seed)]
    chance = random.Random(seed)
    found = measured(asked, live, simulate.learned(pages, seed), progress)
    return [simulate.label(label.question, label.language, label.features, chance) for label in found]


async def _measured(label: Label, live: LiveIndex, learned: Learned | None) -> Label:
    turn = Turn(question=label.question, history=label.messages, lang=label.language)
    found = await find(live, turn, None)
    return label.model_copy(update={"features": measure(turn, found, learned)})


def _with_metrics(fitted: Fitted, figures: dict[str, float]) -> Fitted:
    kept = {name: round(value, 4) for name, value in figures.items()}
    return Fitted(fitted.model.model_copy(update={"metrics": kept}), fitted.expected, fitted.target_reached)


def _everywhere(judged: Sequence[Label], expected: Outcomes, fresh: Outcomes) -> tuple[Outcomes, Outcomes]:
    """The new router and the untrained default on all labels: the default has seen none, the new one was judged out of
    fold on those that it was fitted on."""
    inside = [label for label in judged if not label.held_out]
    outside = [label for label in judged if label.held_out]
    return outcomes.joined(expected, fresh), outcomes.of_router([*inside, *outside], expected.arms, None)


def _verdict(expected: Outcomes, fresh: Outcomes, old: Outcomes, name: str) -> tuple[bool, str]:
    """Whether the new router may take the place of the one called ``name``, and why. ``fresh``, ``old``: both on the
    same questions, which neither was fitted on."""
    accuracy = outcomes.accuracies(expected)
    single = max(expected.arms, key=lambda arm: accuracy[f"always {arm}"])
    if accuracy["router"] <= accuracy[f"always {single}"]:
        return False, (
            f"not better than always {single} ({accuracy['router']:.3f} against {accuracy[f'always {single}']:.3f}): "
            "these labels show no use in choosing; more of them may"
        )
    new, was = outcomes.accuracies(fresh)["router"], outcomes.accuracies(old)["router"]
    questions = f"{len(fresh.good)} questions that neither was fitted on"
    if (new, -_loss(fresh)) < (was, -_loss(old)):
        return False, f"{name} does better on {questions} ({was:.3f} against {new:.3f})"
    return True, f"at least as good as {name} on {questions} ({new:.3f} against {was:.3f})"


def _loss(found: Outcomes) -> float:
    return sum(outcomes.brier(found).values())

"""Does the run still learn? Stops it when the loss is no number or runs away, before GPU hours are wasted.

Diverged: the loss stayed above ``factor`` times the running median for ``patience`` logged steps. A single spike is
normal and passes. The last good step is the one before the trouble began; a checkpoint written after it is not good.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

from sft.training.records import Step


@dataclass
class Health:
    """Fed with each logged step. ``window``: logged steps that the median is taken over."""

    factor: float = 3.0
    patience: int = 5
    window: int = 50
    least: int = 10
    last_good: int = 0
    _losses: deque[float] = field(default_factory=deque)
    _high: int = 0

    def check(self, step: Step) -> str:
        """Why the run should stop; "" while it is well."""
        if not math.isfinite(step.loss):
            return f"the loss is {step.loss} at step {step.step}"
        if math.isinf(step.grad_norm):
            return f"the gradient norm is infinite or no number at step {step.step}"
        usual = median(self._losses) if len(self._losses) >= self.least else math.inf
        if step.loss > self.factor * usual:
            self._high += 1
            if self._high >= self.patience:
                return (
                    f"the loss ran away: {step.loss:.3g} at step {step.step}, over {self.factor:g} times the usual "
                    f"{usual:.3g} for {self._high} logged steps"
                )
            return ""
        self._high, self.last_good = 0, step.step
        self._losses.append(step.loss)
        if len(self._losses) > self.window:
            self._losses.popleft()
        return ""

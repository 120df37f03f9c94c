"""The loop that all stages share: steps, the schedule, checkpoints at any moment, a log a line a step or so.

The schedule runs over *time*: its place is the seconds of training spent so far over config.toml's minutes. What is
bounded here is time on a GPU whose speed is not known beforehand, and so the learning rate always comes down to its end
when the time does. With ``steps`` it runs over steps instead: then two runs on one machine are the same number by
number. Nothing is drawn at random in the loop; which rows come next follows from the seed and how many came before.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from feed import Feed, Micro, micro
from model import dense_mask, flex_mask, positions_of
from rows import Row, Rows
from settings import Stage


class TrainingStopped(RuntimeError):
    """The loss is no number any more; the last checkpoint is from before."""


@dataclass
class Progress:
    """``spent_s``: seconds of training. ``rows``: rows taken, which is the place in the data."""

    step: int = 0
    rows: int = 0
    tokens: int = 0
    spent_s: float = 0.0


@dataclass
class Schedule:
    """``total_s`` of training, or ``steps`` where they are given. Stops at ``deadline`` (time.monotonic) whatever.

    ``finish``: it ends just then. Compiling and saving take some of that time, which must not leave it short.
    """

    total_s: float
    steps: int = 0
    deadline: float = math.inf
    finish: bool = False

    def at(self, progress: Progress) -> float:
        if self.steps:
            return progress.step / self.steps
        if not self.finish:
            return progress.spent_s / self.total_s
        left = max(0.0, self.deadline - time.monotonic())
        return progress.spent_s / (progress.spent_s + left) if left else 1.0


@dataclass
class Machine:
    """How a step is computed. ``body``: model.Body, compiled or not; ``flops``: of a token, ``peak``: of the device."""

    device: str
    body: Callable[..., torch.Tensor]
    head: Callable[..., torch.Tensor]
    flex: bool
    micro_rows: int
    flops: float = 0.0
    peak: float = 0.0

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", torch.bfloat16) if self.device == "cuda" else nullcontext()

    def loss(self, model: Any, rows: Micro) -> torch.Tensor:
        """Of each learned token of a micro batch that lies on the device."""
        mask = flex_mask(rows.docs) if self.flex else dense_mask(rows.docs)
        with self.autocast():
            hidden = self.body(rows.ids, positions_of(rows.docs), mask)
            return self.head(hidden, model.lm_head.weight, rows.picked, rows.targets)


@dataclass
class Trainer:
    """``folder``: where state.pt and log.jsonl lie. ``data``: what the rows are made of, by hash."""

    model: Any
    stage: Stage
    rows: Rows
    heldout: Sequence[Row]
    folder: Path
    machine: Machine
    data: str
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        self.optimizers = optimizers(self.model, self.stage, self.machine.device)
        self._stop = False
        self._feed: Feed | None = None
        self.heldout_loss = float("nan")

    def run(self, schedule: Schedule) -> bool:
        """Train until the schedule's end (True), its deadline or SIGTERM (False); saved in each case."""
        before = signal.signal(signal.SIGTERM, self._told)
        try:
            self._loop(schedule)
        finally:
            signal.signal(signal.SIGTERM, before)
            if self._feed:
                self._feed.close()
                self._feed = None
        done = schedule.at(self.progress) >= 1
        self.save()
        return done

    def _told(self, *_: object) -> None:
        self._stop = True

    def _loop(self, schedule: Schedule) -> None:
        first, mark, saved = True, time.monotonic(), time.monotonic()
        since = Progress(**asdict(self.progress))
        while schedule.at(self.progress) < 1 and not self._stop and time.monotonic() < schedule.deadline:
            lr = self.stage.lr(schedule.at(self.progress))
            said = self.step(lr)
            logged = first or self.progress.step % self.stage.log_every == 0
            values = {name: float(value) for name, value in said.items()} if logged else {}  # waits for the device
            now = time.monotonic()
            if not first:  # the first one compiles
                self.progress.spent_s += now - mark
            if logged:
                self._log(values | {"lr": lr, "progress": schedule.at(self.progress)}, since)
                since = Progress(**asdict(self.progress))
            if now - saved > self.stage.save_every_s:
                self.save()
                saved = time.monotonic()
            first, mark = False, time.monotonic()

    def step(self, lr: float) -> dict[str, torch.Tensor]:
        """One step of the optimizer over ``step_rows`` rows; mean losses of answers and of plain text."""
        made = self._next()
        whole = sum(part.weight for part in made)
        sums = torch.zeros(2, device=self.machine.device)
        counts = [sum(part.answers for part in made), sum(part.texts for part in made)]
        for part in (part.to(self.machine.device) for part in made):
            loss = self.machine.loss(self.model, part)
            ((loss * part.weights).sum() / whole).backward()
            sums += torch.stack(((loss.detach() * ~part.text).sum(), (loss.detach() * part.text).sum()))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        self.progress.rows += self.stage.step_rows
        self.progress.tokens += self.stage.step_rows * self.stage.row_tokens
        names = ("loss_answers", "loss_text")
        means = {name: sums[i] / counts[i] for i, name in enumerate(names) if counts[i]}
        return means | {"grad_norm": norm}

    def _next(self) -> list[Micro]:
        if self._feed is None:
            pinned = self.machine.device == "cuda"
            self._feed = Feed(self.rows, self.progress.rows, self.stage.step_rows, self.machine.micro_rows, pinned)
        return self._feed.next()

    def evaluate(self) -> float:
        """Mean loss of the held-out rows' learned tokens. With gradients on, so that nothing is compiled anew."""
        total, count, each = 0.0, 0, self.machine.micro_rows
        for start in range(0, len(self.heldout) - each + 1, each):
            here = micro(self.heldout[start : start + each]).to(self.machine.device)
            loss = self.machine.loss(self.model, here)
            total, count = total + float(loss.detach().sum()), count + loss.numel()
        return total / count if count else float("nan")

    def save(self) -> None:
        """state.pt, replaced at once: weights, optimizers, progress. The held-out loss goes into the log."""
        self.heldout_loss = self.evaluate()
        if self.heldout and not math.isfinite(self.heldout_loss):
            raise TrainingStopped(f"the held-out loss is {self.heldout_loss} at step {self.progress.step}")
        self._line({"step": self.progress.step, "heldout_loss": round(self.heldout_loss, 4)})
        part = self.folder / "state.pt.partial"
        state = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": asdict(self.progress),
            "data": self.data,
        }
        torch.save(state, part)
        part.replace(self.folder / "state.pt")

    def resume(self) -> bool:
        """Go on from state.pt, if there is one. Raises ValueError when it was trained on other data."""
        path = self.folder / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.machine.device, weights_only=True)
        if state["data"] != self.data:
            raise ValueError(f"{path} was trained on other data or rows: take another --work, or delete {self.folder}")
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.progress = Progress(**state["progress"])
        return True

    def _log(self, values: dict[str, float], since: Progress) -> None:
        if not all(map(math.isfinite, values.values())):
            raise TrainingStopped(f"step {self.progress.step}: {values}; going on would spoil the checkpoint")
        spent = self.progress.spent_s - since.spent_s
        speed = (self.progress.tokens - since.tokens) / spent if spent > 0 else 0.0
        line = {"step": self.progress.step, "tokens": self.progress.tokens, "spent_s": round(self.progress.spent_s, 2)}
        line |= {name: float(f"{value:.5g}") for name, value in values.items()} | {"tokens_per_s": round(speed)}
        if self.machine.peak:
            line["mfu"] = round(speed * self.machine.flops / self.machine.peak, 4)
        self._line(line)

    def _line(self, line: dict[str, Any]) -> None:
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def optimizers(model: Any, stage: Stage, device: str) -> list[Any]:
    """AdamW for all, or Muon (Jordan et al. 2024) for the layers' matrices at AdamW's scale, and AdamW for the rest."""
    named = list(model.named_parameters())
    matrices = [weight for name, weight in named if weight.ndim == 2 and ".layers." in name]
    embedding = [weight for name, weight in named if weight.ndim == 2 and ".layers." not in name]
    groups = [
        {"params": embedding, "weight_decay": stage.weight_decay},
        {"params": [weight for _, weight in named if weight.ndim < 2], "weight_decay": 0.0},
    ]
    made: list[Any] = []
    if stage.optimizer == "muon":
        made.append(torch.optim.Muon(matrices, weight_decay=stage.weight_decay, adjust_lr_fn="match_rms_adamw"))
    else:
        groups.append({"params": matrices, "weight_decay": stage.weight_decay})
    betas = (stage.beta1, stage.beta2)
    return [*made, torch.optim.AdamW(groups, lr=stage.peak_lr, betas=betas, eps=1e-8, fused=device == "cuda")]

"""Evaluation runs and general-ability results with known means, as `docduet eval run` and `eval general` write them."""

from __future__ import annotations

import random
from typing import Any

from data.prompts import REFUSAL
from evals.general.results import GeneralRun
from evals.runs import EvalRun

KINDS = ("single", "single", "steps", "single", "follow-up", "unanswerable")
ASKED = {
    "en": "How do I change port {n} of the gateway, and what else listens there?",
    "zh": "怎样修改网关的第 {n} 个端口，还有什么在监听它？",
}
SAID = {
    "en": "Set `serving.port` in docduet.toml to {n} and restart [1]. The gateway then listens there.",
    "zh": "在 docduet.toml 中把 `serving.port` 设为 {n}，然后重启 [1]。网关随后就在该端口监听。",
}
MISSING = {"en": "The environment variable overrides port {n}.", "zh": "环境变量会覆盖端口 {n}。"}


def eval_run(
    means: dict[str, float],
    count: int = 120,
    seed: int = 0,
    refuses: float = 0.9,
    label: str = "",
    length: float = 1.0,
    latency: float = 900.0,
    **more: Any,
) -> EvalRun:
    """Each arm tells its share of facts (0, 1/2 or 1 a question, equally hard questions for all runs) and refuses what
    the docs do not hold with ``refuses``. An arm or run called "quote" has no engine. ``more``: fields of the run."""
    results = [
        _result(n, arm, mean, random.Random(f"{seed} {arm} {n}"), refuses, length, latency, "quote" in (arm, label))
        for arm, mean in means.items()
        for n in range(count)
    ]
    body = {"object": "eval_run", "set": "handbook", "set_sha256": "a" * 64, "started_at": "2026-11-26T05:00:00Z"}
    return EvalRun.model_validate(body | {"results": results, "label": label, "file": f"{label or 'run'}.json"} | more)


def _result(
    n: int, arm: str, mean: float, chance: random.Random, refuses: float, length: float, latency: float, quotes: bool
) -> dict[str, Any]:
    kind, lang = KINDS[n % len(KINDS)], "zh" if n // len(KINDS) % 2 else "en"
    answerable = kind != "unanswerable"
    ease = random.Random(f"question {n}").uniform(-0.15, 0.15)  # a hard question is hard for everybody
    told = sum(chance.random() < mean + ease for _ in range(2)) / 2
    refused = chance.random() < (refuses if not answerable else 0.02)
    answered, cites = answerable and not refused, arm in ("rag", "sft-rag", "quote")
    result: dict[str, Any] = {"id": f"hb-{lang}-{n:03}", "question": ASKED[lang].format(n=n), "lang": lang, "arm": arm}
    result |= {"kind": kind, "topic": "ports", "answerable": answerable, "refused": refused}
    result |= {"facts_recalled": (0.0 if refused else told) if answerable else None}
    result |= {"completeness": (0.0 if refused else told) if kind == "steps" else None}
    result |= {"faithful": float(chance.random() < 0.5 + mean / 2) if not refused else None}
    result |= {"citation_precision": float(chance.random() < 0.95) if answered and cites else None}
    result |= {"citation_recall": float(chance.random() < 0.85) if answered and cites else None}
    result |= {"degenerate": "loop" if chance.random() < 0.03 and arm == "sft" else ""}
    result |= {
        "degraded": "no engine" if quotes and not refused else "",
        "failed": "",
        "tokens": chance.randint(30, 90),
    }
    result |= {"first_ms": latency * chance.uniform(0.2, 0.4), "latency_ms": latency * chance.uniform(0.7, 2.2)}
    result |= {"length": int(200 * length * chance.uniform(0.6, 1.5)), "reference_length": 200}
    result |= {
        "answer": REFUSAL[lang] if refused else SAID[lang].format(n=n),
        "sources": ["en/configuration.md"] if cites else [],
    }
    return result | {"missing": [MISSING[lang].format(n=n)] * (answerable and told < 1)}


def general_run(arms: dict[str, float], label: str = "", of: int = 60, **more: Any) -> GeneralRun:
    """Three tasks of ``of`` items, of which each arm has its share right: the first ones, so that who has more has lost
    none."""
    tasks = ("arithmetic", "copying", "grammar")
    scored = {
        arm: {task: {"score": round(share * of) / of, "of": of, "right": round(share * of)} for task in tasks}
        for arm, share in arms.items()
    }
    answers = [
        {"id": f"{task}-{n}", "task": task, "arm": arm, "right": n < round(share * of), "answer": str(n)}
        for arm, share in arms.items()
        for task in tasks
        for n in range(of)
    ]
    body = {"object": "eval_general", "suite": "probes", "started_at": "2026-11-26T06:00:00Z", "arms": scored}
    body |= {"answers": answers}
    return GeneralRun.model_validate(body | {"label": label} | more)

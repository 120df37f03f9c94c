"""EvalScope against a gateway: established benchmarks, asked through /v1/chat/completions, out of local folders.

EvalScope (https://github.com/modelscope/evalscope) wants other versions of shared packages than DocDuet, so it runs in
an environment of its own, as a child process, one arm after the other. It reads a dataset's folder as the hub has it,
formats and judges; DocDuet tells it what to ask whom (`task_config`) and reads what it made of each sample
(`read_reviews`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import ConfigError, EvalScopeError
from evals.general.asking import NEUTRAL, OWN
from evals.general.results import Answer, GeneralRun, going_on, save, scored
from evals.general.run import Progress

VERSION = "1.14.1"
DATASETS = {
    "gsm8k": "AI-ModelScope/gsm8k",
    "ifeval": "opencompass/ifeval",
    "mmlu_redux": "AI-ModelScope/mmlu-redux-2.0",
    "ceval": "evalscope/ceval",
}
"""Task -> its dataset on ModelScope."""

MAX_TOKENS = 1024
_CHILD = "import json, sys; from evalscope import TaskConfig, run_task; run_task(TaskConfig(**json.load(sys.stdin)))"
_VERSION = "import importlib.metadata as found; print(found.version('evalscope'))"


def installed(python: str) -> str:
    """The version of EvalScope in the environment of ``python``. Raises ConfigError that says how to get one."""
    try:
        asked = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise ConfigError(f"--evalscope {python}: {error.strerror or error}") from None
    if asked.returncode:
        raise ConfigError(
            f"EvalScope is not installed for {python}: make it an environment of its own (python -m venv evalscope; "
            f"evalscope/bin/pip install 'evalscope[ifeval]=={VERSION}') and give --evalscope evalscope/bin/python"
        )
    return asked.stdout.strip()


def datasets(tasks: Sequence[str], folder: Path | None) -> dict[str, Path]:
    """Task -> the folder of its dataset, all four for no tasks. Raises ConfigError that says what is missing."""
    unknown = next((task for task in tasks if task not in DATASETS), None)
    if unknown is not None:
        raise ConfigError(f"EvalScope is not asked for {unknown!r}: --tasks can name {', '.join(DATASETS)}")
    if folder is None:
        raise ConfigError("--suite evalscope needs --data-dir, a folder with a dataset's folder for each task")
    found = {task: folder.expanduser().absolute() / task for task in tasks or DATASETS}
    missing = next((task for task, path in found.items() if not path.is_dir()), None)
    if missing is not None:
        raise ConfigError(
            f"there is no {found[missing]}: get it with `modelscope download --dataset {DATASETS[missing]} "
            f"--local_dir {found[missing]}`, or leave the task out of --tasks"
        )
    return found


def task_config(
    arm: str, url: str, found: dict[str, Path], work: Path, system: str, seed: int, limit: int, concurrency: int
) -> dict[str, Any]:
    """What EvalScope's TaskConfig is made of; the key is not in it."""
    args = {
        task: {"dataset_id": str(path)} | ({} if system == OWN else {"system_prompt": system or _neutral(task)})
        for task, path in found.items()
    }
    return {
        "model": arm,
        "eval_type": "openai_api",
        "api_url": f"{url.rstrip('/')}/v1",
        "datasets": list(found),
        "dataset_args": args,
        "generation_config": {
            "temperature": 0,
            "seed": seed,
            "max_tokens": MAX_TOKENS,
            "extra_body": {"docduet": {"store": False}},
        },
        "limit": limit or None,
        "eval_batch_size": concurrency,
        "work_dir": str(work),
        "no_timestamp": True,
        "use_cache": str(work) if work.is_dir() else None,
    }


def run_evalscope(
    run: GeneralRun,
    url: str,
    key: str,
    python: str,
    found: dict[str, Path],
    folder: Path,
    resume: bool = True,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[GeneralRun, Path]:
    """The finished run and its file in ``folder``. ``run``: its ``asked`` says whom and how (arms, system, seed, limit,
    concurrency). Raises EvalScopeError, BusyError; a run that was stopped goes on, by EvalScope's own cache."""
    with going_on(run, folder, resume) as begun:
        return _asked(begun, url, key, python, found, folder, progress)


def _asked(
    run: GeneralRun, url: str, key: str, python: str, found: dict[str, Path], folder: Path, progress: Progress
) -> tuple[GeneralRun, Path]:
    work = folder / "evalscope" / run.name.removesuffix(".json")
    save(run, folder)
    answers: list[Answer] = []
    arms = run.asked["arms"]
    how = {name: run.asked[name] for name in ("system", "seed", "limit", "concurrency")}
    for number, arm in enumerate(arms):
        progress(f"EvalScope asks {arm}", number, len(arms))
        own = work / hashlib.sha256(arm.encode()).hexdigest()[:8]
        _child(python, task_config(arm, url, found, own, **how), key, own.with_suffix(".log"))
        answers += read_reviews(own, arm, list(found))
    done = scored(run, answers, arms, finished=True)
    return done, save(done, folder)


def read_reviews(work: Path, arm: str, tasks: Sequence[str]) -> list[Answer]:
    """What EvalScope made of each sample: reviews/ARM/TASK_SUBSET.jsonl. Right is a whole main score (for ifeval: every
    instruction followed, strictly). Raises EvalScopeError for files in another shape."""
    found = []
    for task in tasks:
        paths = sorted((work / "reviews").glob(f"*/{task}_*.jsonl"))
        if not paths:
            raise EvalScopeError(f"EvalScope wrote no reviews of {task} in {work}: see its log")
        for path in paths:
            subset = path.stem.removeprefix(f"{task}_")
            lines = path.read_text(encoding="utf-8").split("\n")  # answers may hold other ends of lines
            found += [_answer(line, subset, task, arm, path) for line in lines if line]
    return found


def _answer(line: str, subset: str, task: str, arm: str, path: Path) -> Answer:
    try:
        sample = json.loads(line)["sample_score"]
        score = sample["score"]
        value = float(score["value"][score["main_score_name"]])
        said = str(score["prediction"])
        number = sample["sample_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise EvalScopeError(
            f"{path} is not as EvalScope {VERSION} writes it ({error!r}): install that version"
        ) from None
    return Answer(id=f"{subset}-{number}", task=task, arm=arm, right=value >= 1, answer=said)


def _child(python: str, config: dict[str, Any], key: str, log: Path) -> None:
    """Run it to its end, all that it says in ``log``. The key goes by standard input: arguments can be read by
    others."""
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "PYTHONSAFEPATH": "1"}
    env["HF_DATASETS_CACHE"] = str(log.parent / "cache")
    data = Path(next(iter(config["dataset_args"].values()))["dataset_id"]).parent / "nltk_data"
    if data.is_dir():
        env["NLTK_DATA"] = str(data)
    for name in ("PYTHONPATH", "PYTHONHOME"):
        env.pop(name, None)
    sent = json.dumps(
        {name: value for name, value in config.items() if value is not None} | {"api_key": key or "unused"}
    )
    with log.open("a", encoding="utf-8") as sink:
        done = subprocess.run(
            [python, "-c", _CHILD], input=sent, text=True, stdout=sink, stderr=sink, env=env, check=False
        )
    shutil.rmtree(log.parent / "cache", ignore_errors=True)
    if done.returncode:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        said = lines[-1].strip() if lines else f"exit status {done.returncode}"
        raise EvalScopeError(f"EvalScope stopped: {said} (all of it is in {log}); run it again to go on")


def _neutral(task: str) -> str:
    return NEUTRAL["zh" if task == "ceval" else "en"]

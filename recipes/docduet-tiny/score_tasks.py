"""Score answers to reading tasks, and the peer that needs no model: the sentence with the most words of the question.

    .venv/bin/python recipes/docduet-tiny/score_tasks.py --tasks heldout-tasks-01.jsonl.xz --answers answers.jsonl
    .venv/bin/python recipes/docduet-tiny/score_tasks.py --tasks heldout-tasks-01.jsonl.xz --baseline

Answers are JSON lines with "answer", one for each task in the tasks' order (or with the task's place, from 0, as
"task").
Passages are read from the passage files beside the tasks, or from --passages. Prints a table by kind and language:
token F1 (SQuAD's, markers left out), exact (the same words), cited (markers name the passages that the task's answer
names: precision and recall over marker numbers), refusal precision and recall. --json prints all figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from data.prompts import REFUSAL

_MARKER = re.compile(r"\s?\[(\d{1,2})\]")
_WORD = re.compile(r"[^\W\u3400-\u9fff]+|[\u3400-\u9fff]")


def words(text: str) -> list[str]:
    """Latin words and Chinese characters, folded, without markers."""
    return _WORD.findall(unicodedata.normalize("NFKC", _MARKER.sub(" ", text)).lower())


def f1(said: str, gold: str) -> float:
    """SQuAD's token F1 (Rajpurkar et al. 2016), 0 to 1."""
    a, b = words(said), words(gold)
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b)) if common else float(not a and not b)


def refuses(answer: str) -> bool:
    """Whether an answer says that it is not there, and nothing before it."""
    said = "".join(words(answer))
    return any(said.startswith("".join(words(text))) for text in REFUSAL.values())


def cited(answer: str) -> set[int]:
    return {int(number) for number in _MARKER.findall(answer)}


def score(tasks: Sequence[dict[str, Any]], answers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Group ("all", a language, a kind) -> figures. Ratios over nothing are left out."""
    groups: dict[str, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for task, answer in zip(tasks, answers, strict=True):
        kind = task["kind"]
        for group in ("all", task["lang"], kind.split("-")[0], kind):
            if (task, answer) not in groups[group][-1:]:
                groups[group].append((task, answer))
    return {group: _figures(pairs) for group, pairs in sorted(groups.items())}


def _figures(pairs: Sequence[tuple[dict[str, Any], str]]) -> dict[str, float]:
    told = [(task["answer"], said) for task, said in pairs if not refuses(task["answer"])]
    wanted = [refuses(task["answer"]) for task, _ in pairs]
    refused = [refuses(said) for _, said in pairs]
    right = sum(a and b for a, b in zip(wanted, refused, strict=True))
    found: dict[str, float] = {"n": len(pairs)}
    if told:
        found["f1"] = sum(f1(said, gold) for gold, said in told) / len(told)
        found["exact"] = sum(words(said) == words(gold) for gold, said in told) / len(told)
    marked = [(cited(gold), cited(said)) for gold, said in told if not refuses(said) and cited(gold)]
    if marked:
        hits = sum(len(gold & said) for gold, said in marked)
        found["citation_precision"] = hits / max(1, sum(len(said) for _, said in marked))
        found["citation_recall"] = hits / sum(len(gold) for gold, _ in marked)
    if any(refused):
        found["refusal_precision"] = right / sum(refused)
    if any(wanted):
        found["refusal_recall"] = right / sum(wanted)
    return found


def baseline(task: dict[str, Any], passages: dict[int, dict[str, Any]]) -> str:
    """The sentence with the most of the question's words, weighted by how few of the shown sentences have them.

    It never refuses: the peer of a model that reads.
    """
    from data.sentences import claims
    from rag.lexical import tokenize

    asked = set(tokenize(task["question"])) or {""}
    lines = [
        (number, text[span.start : span.end])
        for number, text in enumerate((passages[one]["text"] for one in task["passages"]), start=1)
        for span in claims(text)
        if not span.code
    ]
    if not lines:
        return ""
    terms = [set(tokenize(line)) for _, line in lines]
    often = Counter(term for line in terms for term in line)
    best = max(range(len(lines)), key=lambda at: (sum(1 / often[term] for term in asked & terms[at]), -at))
    number, said = lines[best]
    return f"{said} [{number}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, required=True, help="task file (.jsonl.xz or .jsonl)")
    parser.add_argument("--answers", type=Path, help="JSON lines with the answers")
    parser.add_argument("--baseline", action="store_true", help="score the sentence with the most words in common")
    parser.add_argument("--passages", type=Path, nargs="*", help="passage files (default: those beside the tasks)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    if bool(args.answers) == args.baseline:
        parser.error("give --answers FILE or --baseline")
    from reading.files import read_rows

    tasks = list(read_rows(args.tasks))
    if args.baseline:
        files = args.passages or sorted(
            args.tasks.parent.glob(re.sub(r"tasks.*", "passages*.jsonl.xz", args.tasks.name))
        )
        passages = {row["id"]: row for path in files for row in read_rows(path)}
        answers = [baseline(task, passages) for task in tasks]
    else:
        rows = list(read_rows(args.answers))
        placed = {row.get("task", at): str(row["answer"]) for at, row in enumerate(rows)}
        missing = [at for at in range(len(tasks)) if at not in placed]
        if missing:
            parser.error(f"{args.answers} has no answer to task {missing[0]} ({len(missing)} missing of {len(tasks)})")
        answers = [placed[at] for at in range(len(tasks))]
    _print(score(tasks, answers), args.json)


def _print(found: dict[str, dict[str, float]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=1))
        return
    names = ("n", "f1", "exact", "citation_precision", "citation_recall", "refusal_precision", "refusal_recall")
    print(
        f"{'':26}"
        + "".join(
            f"{name.replace('citation', 'cite').replace('precision', 'P').replace('recall', 'R'):>12}" for name in names
        )
    )
    for group, figures in found.items():
        cells = (
            f"{figures[name]:>12.2f}" if name in figures and name != "n" else f"{figures.get(name, ''):>12}"
            for name in names
        )
        print(f"{group:26}" + "".join(cells))


if __name__ == "__main__":
    main()

"""Fit the refusal model of rag/answerable.py, and report precision and recall of refusals on held-out questions.

    docduet sync ../shared/corpora/ms-swift-docs
    python benchmarks/fit_refusals.py            # prints coefficients to copy into COEFFICIENTS, then the report
    python benchmarks/fit_refusals.py --report   # only the report, of the coefficients that are committed

Questions: evals/sets/refusals-fit.jsonl and refusals-heldout.jsonl ({lang, answerable, question}); no question is in
both. The report's figures come from the held-out file alone. Needs scikit-learn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from data.home import Home
from data.lang import detect_lang
from rag import answerable
from rag.answerable import Features, features, judge
from rag.config import RagConfig
from rag.live import LiveIndex
from rag.retriever import HybridRetriever

SETS = Path(__file__).parents[1] / "evals" / "sets"
STRENGTH = 3.0
"""Inverse of the regularisation: weak enough to fit, strong enough that 128 questions do not dictate."""


def main() -> None:
    retriever = LiveIndex(Home.from_env(), RagConfig()).retriever()
    if "--report" not in sys.argv:
        answerable.COEFFICIENTS = fit(retriever)
        print(json.dumps(answerable.COEFFICIENTS, indent=4))
    for name in ("fit", "heldout"):
        report(name, retriever)


def questions(name: str) -> list[dict[str, object]]:
    lines = (SETS / f"refusals-{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def measured(retriever: HybridRetriever, question: str) -> Features:
    passages = retriever.search(question)
    return features(question, passages, retriever.term_weights(question), detect_lang(question) == "en")


def fit(retriever: HybridRetriever) -> dict[str, float]:
    from sklearn.linear_model import LogisticRegression

    asked = questions("fit")
    rows = [vars(measured(retriever, str(entry["question"]))) for entry in asked]
    names = list(rows[0])
    model = LogisticRegression(C=STRENGTH, max_iter=5000)
    model.fit([[row[name] for name in names] for row in rows], [bool(entry["answerable"]) for entry in asked])
    found = {"intercept": model.intercept_[0], **dict(zip(names, model.coef_[0], strict=True))}
    return {name: round(float(value), 3) for name, value in found.items()}


def report(name: str, retriever: HybridRetriever) -> None:
    """Precision: of what was refused, what is truly not in the docs. Recall: of what is not there, what was refused."""
    verdicts = []
    for entry in questions(name):
        question = str(entry["question"])
        passages = retriever.search(question)
        knows = detect_lang(question) == "en"
        verdict = judge(question, passages, retriever.term_weights(question), knows)
        verdicts.append((str(entry["lang"]), bool(entry["answerable"]), verdict.answerable))
        if verdict.answerable != entry["answerable"]:
            kind = "refused" if entry["answerable"] else "let through"
            print(f"  {kind}: {question} ({verdict.score:.2f}; {verdict.reason})")
    for lang in ("en", "zh"):
        of_lang = [(there, passed) for language, there, passed in verdicts if language == lang]
        refused = [there for there, passed in of_lang if not passed]
        missing = [passed for there, passed in of_lang if not there]
        precision = refused.count(False) / len(refused) if refused else float("nan")
        recall = missing.count(False) / len(missing)
        print(f"{name:<8} {lang}: {len(of_lang)} questions, refusals precision {precision:.2f}, recall {recall:.2f}")


if __name__ == "__main__":
    main()

"""What checking an answer costs, after its last word: p50 and p95 of the processor's time in milliseconds.

    docduet sync ../shared/corpora/ms-swift-docs
    python benchmarks/verify.py

Asked are 60 questions of evals/sets/ms-swift-docs.jsonl. An answer is eight sentences: six out of the passages found,
and two of another question's, which have to be searched for. As a learned answer each is looked for (`support`); as a
read answer each cites a passage and is compared with it and its section (`unsupported`).
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence

from data.home import Home
from data.sentences import claims
from evals.questions import Question, load_set
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.arms.reply import Reply
from serving.arms.retrieval import Found, find
from serving.arms.turn import Turn
from serving.arms.verify import Verifier
from serving.exchange import Answer


def sentences(found: Found) -> Iterator[tuple[int, str]]:
    """(number of the passage, sentence), in order."""
    for number, passage in enumerate(found.passages, start=1):
        for span in claims(passage.text)[:2]:
            yield number, " ".join(passage.text[span.start : span.end].split())


def answer_of(found: Found, foreign: Sequence[tuple[int, str]]) -> tuple[Answer, Reply]:
    said = [*list(sentences(found))[:6], *foreign[:2]]
    reply, answer = Reply(found.passages, found.query), Answer()
    text = "".join(f"- {sentence} [{number}]\n" for number, sentence in said)
    for event in [*reply.feed(text), *reply.close()]:
        answer.add(event)
    return answer, reply


async def timed(live: LiveIndex, questions: Sequence[Question]) -> dict[str, list[float]]:
    verifier = Verifier(live)
    spent: dict[str, list[float]] = {"support, en": [], "support, zh": [], "unsupported, en": [], "unsupported, zh": []}
    before: list[tuple[int, str]] = []
    for question in questions:
        turn = Turn(question.question, lang=question.lang)
        found = await find(live, turn, None)
        answer, reply = answer_of(found, before)
        before = list(sentences(found))
        sections = found.retriever.sections(found.passages)
        read = {number: sections[index] for number, index in reply.indexes.items()}
        started = time.process_time()
        await verifier.support(turn, answer.text, found, {})
        middle = time.process_time()
        await verifier.unsupported(answer, found.retriever, read)
        spent[f"support, {question.lang}"].append(1000 * (middle - started))
        spent[f"unsupported, {question.lang}"].append(1000 * (time.process_time() - middle))
    return spent


def main() -> None:
    live = LiveIndex(Home.from_env(), RagConfig())
    questions = load_set("ms-swift-docs").sample(60, 1).questions
    asyncio.run(timed(live, questions[:6]))  # dictionaries and models are loaded
    for name, spent in asyncio.run(timed(live, questions)).items():
        cuts = statistics.quantiles(spent, n=20)
        print(f"{name:16} {len(spent):3} answers: p50 {statistics.median(spent):6.1f} ms, p95 {cuts[18]:6.1f} ms")


if __name__ == "__main__":
    main()

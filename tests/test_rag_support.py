"""What a passage supports, and what it does not: numbers, identifiers, negation, words; English and Chinese."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from rag.support import Source, best_support, claim_of, features, numbers

PORT = Source("The gateway listens on port 7860 by default.\n\nChange it with `--port`.\n", "Ports")
RETRY = Source(
    "DocDuet checks an engine every 5 seconds. It restarts it after three failed checks in a row.", "Engines"
)
ZH = Source("网关默认监听 7860 端口。用 `--port` 修改端口。连续三次检查失败后，引擎会重启。", "端口")


def weigh(text: str) -> Mapping[str, float]:
    return {}


def supported(sentence: str, source: Source) -> bool:
    claim = claim_of(sentence, weigh)
    assert claim
    return best_support(claim, [source]).supported


@pytest.mark.parametrize(
    ("sentence", "source", "expected"),
    [
        ("The gateway listens on port 7860 by default.", PORT, True),
        ("By default, the gateway listens on port 7860 [1].", PORT, True),
        ("You can change the port with `--port`.", PORT, True),
        ("The gateway listens on port 7861 by default.", PORT, False),
        ("The gateway does not listen on port 7860 by default.", PORT, False),
        ("Change it with `--listen`.", PORT, False),
        ("Whales are mammals that breathe air.", PORT, False),
        ("It restarts an engine after 3 failed checks in a row.", RETRY, True),
        ("It restarts an engine after four failed checks in a row.", RETRY, False),
        ("网关默认监听 7860 端口。", ZH, True),
        ("网关默认监听 8000 端口。", ZH, False),
        ("检查连续 3 次失败后，引擎会重启。", ZH, True),
        ("检查连续五次失败后，引擎会重启。", ZH, False),
        ("鲸鱼是用肺呼吸的哺乳动物。", ZH, False),
    ],
)
def test_what_a_passage_says(sentence: str, source: Source, expected: bool) -> None:
    assert supported(sentence, source) is expected


def test_the_best_source_is_named() -> None:
    claim = claim_of("The gateway listens on port 7860.", weigh)
    assert claim
    assert best_support(claim, [RETRY, PORT]).source == 1


def test_a_claim_without_words_claims_nothing() -> None:
    assert claim_of("So it is:", weigh) is None


def test_a_missing_number_is_never_made_up_for() -> None:
    claim = claim_of("The gateway listens on port 7861 by default.", weigh)
    assert claim
    assert features(claim, PORT) is None


def test_numbers() -> None:
    assert numbers("1,000 of 3.5 GB, v1.2 and `x9`, three times") == {"1000", "3.5", "3"}
    assert numbers("第三次，等 10 秒，重复两次") == {"10", "2"}


def test_sentences_written_by_hand() -> None:
    """Their other half is what the measure was fitted on; benchmarks/LOG.md has the figures of each half."""
    right = {True: 0, False: 0}
    total = {True: 0, False: 0}
    for line in (Path(__file__).parents[1] / "evals/sets/support.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        source = Source(row["source"], row["context"])
        for there, sentences in ((True, row["supported"]), (False, row["unsupported"])):
            for sentence in sentences:
                total[there] += 1
                right[there] += supported(sentence, source) is there
    assert right[True] / total[True] >= 0.75  # 37 of 47, all words weighing the same
    assert right[False] / total[False] >= 0.75

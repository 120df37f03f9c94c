"""What is measured of an answer beside its facts, against examples counted by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from data.citations import strip_markers
from data.types import Page
from evals.answers.citations import alce, cited_sentences
from evals.answers.degenerate import degenerate, repeated
from evals.answers.evidence import Evidence
from evals.answers.faithful import faithful
from evals.answers.length import length_ratio, short
from evals.answers.likeness import chrf
from evals.answers.measure import measure
from evals.answers.reply import Answer, Cited, Mark
from evals.answers.summary import summary
from evals.answers.text import visible
from evals.questions import Fact, Question
from evals.runs import Result
from evals.scorecard.measures import BY_NAME

PAGE = Page(
    "port.md",
    "Ports",
    "# Ports\n\nThe gateway listens on port 7860 by default.\n\nChange the port with the option `--port`.\n\n"
    "An engine is restarted with growing delays when it dies.\n",
)
QUESTION = Question(
    "q1", "Which port?", "en", ("port.md",), facts=(Fact("7860", (("7860",),)),), reference="It is 7860."
)


def answer(text: str, *quotes: str, **more: Any) -> Answer:
    """An answer whose markers [n] stand for ``quotes``."""
    marks = [
        Mark(start=at, end=at + 3, n=n)
        for n in range(1, len(quotes) + 1)
        for at in range(len(text))
        if text.startswith(f"[{n}]", at)
    ]
    sources = [Cited(n=n, url=f"p{n}", title="Ports", quote=quote) for n, quote in enumerate(quotes, start=1)]
    given = {"id": "q1", "arm": "rag", "finish_reason": "stop"} | more
    return Answer(text=text, markers=tuple(marks), sources=tuple(sources), **given)


def test_alce_by_hand() -> None:
    """One sentence that two sources support only together, one whose second source adds nothing, one uncited."""
    truth = {(0, (1, 2)), (1, (1, 3)), (1, (1,))}
    precision, recall = alce([(1, 2), (1, 3), ()], lambda sentence, sources: (sentence, sources) in truth)
    assert recall == pytest.approx(2 / 3)
    assert precision == 3 / 4  # 1 and 2 of the first are needed, 1 of the second; 3 is not: 1 alone is enough
    assert alce([(1,), (2,)], lambda *_: False) == (0.0, 0.0)
    assert alce([(), ()], lambda *_: True) == (0.0, 0.0)
    assert alce([(1, 1)], lambda *_: True) == (1.0, 1.0)


def test_a_quotation_is_cited_as_a_whole() -> None:
    text = "> The gateway listens on port 7860.\n> Change it with `--port`. [1]\n\nNothing is cited here."
    cited = [numbers for _, _, numbers in cited_sentences(answer(text, "quote"))]
    assert cited == [(1,), (1,), ()]


def test_citations_are_held_against_what_they_quote() -> None:
    quote = "The gateway listens on port 7860 by default."
    good = answer("The gateway listens on port 7860 [1]. An engine is restarted with delays [2].", quote, "Nothing.")
    scores = measure(QUESTION, good, Evidence())
    assert (scores.citation_precision, scores.citation_recall) == (0.5, 0.5)
    assert scores.sources == ("p1", "p2")
    learned = measure(QUESTION, good.model_copy(update={"arm": "sft"}), Evidence())
    assert (learned.citation_precision, learned.citation_recall) == (None, None)


def test_faithful_is_the_share_of_claims_that_the_pages_say() -> None:
    evidence = Evidence(None, [PAGE])
    said = answer("The gateway listens on port 7860. It sends an e-mail to the administrator every 3 days.")
    assert faithful(QUESTION, said, evidence) == 0.5
    assert faithful(QUESTION, answer("Well:\n\n---\n"), evidence) in (None, 0.0)
    assert faithful(Question("q", "?", "en", ("gone.md",)), said, evidence) is None


def test_the_driblet_index_is_a_geometric_mean() -> None:
    ratio = length_ratio([(50, 100), (200, 100), (100, 100), (0, 0)])
    assert ratio.value == pytest.approx(1.0)
    assert ratio.of == 3
    assert ratio.low < 1 < ratio.high
    assert length_ratio([(10, 40)]).value == pytest.approx(0.25)
    assert length_ratio([(0, 40)]).value == pytest.approx(1 / 40)  # an empty answer, not minus infinity
    assert length_ratio([]).value is None
    assert math.isclose(short([(49, 100), (50, 100), (200, 100), (9, 0)]).value or 0, 1 / 3)


def test_the_driblet_index_is_bleus_length_ratio_answer_by_answer_and_scipys_geometric_mean() -> None:
    from sacrebleu.metrics import BLEU
    from scipy.stats import gmean

    pairs = [
        ("Set `--port` to 80 [1].", "Give the option --port the number 80, then restart the gateway."),
        ("把端口改为 80。", "把 `--port` 设为 80，然后重启网关。"),
        ("It is 7860, and 7860 it stays: the port is 7860 [2].", "7860."),
    ]
    bleu = BLEU(tokenize="char", effective_order=True)
    peers = [bleu.sentence_score(strip_markers(said), [gold]) for said, gold in pairs]
    lengths = [(visible(said), visible(gold)) for said, gold in pairs]
    assert lengths == [(peer.sys_len, peer.ref_len) for peer in peers]
    assert length_ratio(lengths).value == pytest.approx(gmean([peer.ratio for peer in peers]))


@pytest.mark.parametrize(
    ("fields", "lengths"),
    [
        ({}, (10, 20)),
        ({"answerable": None}, (10, 20)),
        ({"refused": True}, None),
        ({"answerable": False}, None),
        ({"failed": "the stream broke off"}, None),
        ({"reference_length": None}, None),
    ],
)
def test_lengths_are_those_of_answers_that_were_due_and_given(
    fields: dict[str, Any], lengths: tuple[int, int] | None
) -> None:
    body: dict[str, Any] = {"id": "q", "arm": "rag", "answerable": True, "length": 10, "reference_length": 20}
    result = Result.model_validate(body | fields)
    assert result.lengths == lengths
    assert BY_NAME["length_ratio"].of(result)[1] == (lengths is not None)
    assert summary([result])["rag"].shares["length_ratio"].of == (lengths is not None)


@pytest.mark.parametrize(
    ("text", "finish", "kind"),
    [
        ("The gateway listens on port 7860 [1].", "stop", ""),
        ("网关默认监听 7860 端口。[1]", "stop", ""),
        ("7860", "stop", ""),
        ("1. Stop it\n2. Start it", "stop", ""),
        ("> The gateway listens on port 7860 [1]", "stop", ""),
        ("Run:\n\n```bash\ndocduet serve\n```", "stop", ""),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "stop", ""),
        ("It is as it was (see there).", "stop", ""),
        ("", "stop", "empty"),
        (" [1] \n...", "stop", "empty"),
        ("The gateway listens on the port that is", "stop", "unfinished"),
        ("The gateway listens on port 7860.", "length", "unfinished"),
        ("Run:\n\n```bash\ndocduet serve", "stop", "unfinished"),
        ("Do the following:", "stop", "unfinished"),
        ("网关默认监听的端口", "stop", "unfinished"),
        ("The port is the port. " * 6, "stop", "loop"),
        ("配置端口配置端口配置端口配置端口配置端口配置端口配置端口配置端口配置端口配置端口", "length", "loop"),
        ("no no no no no no no no no no no no no no", "length", "loop"),
        ("It is " + "ha" * 30, "stop", "loop"),
    ],
)
def test_degenerate_answers(text: str, finish: str, kind: str) -> None:
    assert degenerate(text, finish) == kind


def test_repetition_is_welleck_et_al_s_seq_rep_4() -> None:
    words = "a b c d e f g h i j k l m n o"
    assert repeated(words) == 0.0
    assert repeated(f"{words} {words}") == pytest.approx(12 / 27)  # 27 groups, the last 12 are the first
    assert repeated("a b c d a b c d") == 0.0  # too short to tell


def test_chrf_likes_what_is_alike_in_both_languages() -> None:
    assert chrf("The port is 7860 [1].", "The port is 7860.") == pytest.approx(1.0)
    assert (
        chrf("网关监听 7860 端口", "网关默认监听 7860 端口。")
        > 0.5
        > chrf("引擎会重新启动", "网关默认监听 7860 端口。")
    )


def test_a_refusal_states_and_claims_nothing() -> None:
    refusal = answer("I could not find this in the documentation.", refused=True)
    scores = measure(QUESTION, refusal, Evidence(None, [PAGE]))
    assert (scores.facts_recalled, scores.missing, scores.faithful, scores.degenerate) == (0.0, ("7860",), None, "")
    assert scores.answered_well is False
    outside = Question("q2", "?", "en", answerable=False, kind="unanswerable")
    right = measure(outside, refusal, Evidence())
    assert (right.facts_recalled, right.refused, right.answered_well) == (None, True, True)


def test_a_whole_answer_is_measured() -> None:
    said = answer("The gateway listens on port 7860 [1].", "The gateway listens on port 7860 by default.", tokens=9)
    scores = measure(QUESTION, said, Evidence(None, [PAGE]))
    shares = (scores.facts_recalled, scores.citation_precision, scores.citation_recall, scores.faithful)
    assert shares == (1.0, 1.0, 1.0, 1.0)
    assert (scores.length, scores.reference_length, scores.tokens, scores.completeness) == (28, 9, 9, None)
    assert scores.answered_well


def results(arm: str = "rag") -> list[Result]:
    """Six answerable questions, one of them refused; four unanswerable ones, three of them refused."""
    inside = [
        Result(
            id=f"i{n}", arm=arm, answerable=True, refused=n == 0, facts_recalled=n / 5, length=10, reference_length=20
        )
        for n in range(6)
    ]
    outside = [Result(id=f"o{n}", arm=arm, answerable=False, refused=n > 0, latency_ms=100 * n) for n in range(4)]
    return [*inside, *outside]


def test_figures_of_an_arm() -> None:
    found = summary([*results(), Result(id="x", arm="sft", degenerate="loop", degraded="no engine")])
    assert list(found) == ["rag", "sft"]
    told = found["rag"].as_dict()
    assert told["facts_recalled"] == 0.5
    assert (told["refusal_precision"], told["refusal_recall"]) == (0.75, 0.75)
    assert (told["length_ratio"], told["short"]) == (0.5, 0.0)
    assert (told["latency_ms_p50"], told["first_ms_p50"], told["n"], told["faithful"]) == (150.0, None, 10, None)
    low, high = told["intervals"]["refusal_recall"]
    assert 0.2 < low < 0.75 < high < 1
    assert "faithful" not in told["intervals"]
    twitches = found["sft"].as_dict()
    assert (twitches["degenerate"], twitches["degraded"], twitches["refusal_recall"]) == (1.0, 1.0, None)

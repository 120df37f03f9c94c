"""What goes into a report comes out of it: counts, sentences, files and pages."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import ConfigError
from evals.report import chart, html, table
from evals.report.build import build
from evals.report.inputs import Battle, Filters, Inputs, Said, Tally, columns
from evals.report.results import from_dict
from evals.report.since import since
from evals.report.words import TEXTS
from evals.runs import read_runs

HOSTILE = "=<script>alert(1)</script>"


def battles(wins: int, losses: int, ties: int = 0, both_bad: int = 0, people: int = 10, **more: str) -> list[Battle]:
    """Votes of `rag` against `sft`, shown left and right in turn."""
    outcomes = ["rag"] * wins + ["sft"] * losses + ["tie"] * ties + ["both_bad"] * both_bad
    found = []
    for n, won in enumerate(outcomes):
        arms = ("rag", "sft") if n % 2 else ("sft", "rag")
        winner = str(arms.index(won)) if won in arms else won
        found.append(Battle(arms, winner, True, f"user{n % people}" if people else "", **more))  # type: ignore[arg-type]
    return found


def inputs(votes: Sequence[Battle] = (), *more: Any, **named: Any) -> Inputs:
    return Inputs(columns(votes), *more, **named)


def test_the_counts_are_those_of_the_votes() -> None:
    made = build(inputs([*battles(12, 5, ties=4, both_bad=3), Battle(("base", "rag"), "1")]))
    pair, other = made.pairs
    assert (pair.arms, other.arms) == (("rag", "sft"), ("rag", "base"))
    counts = pair.counts
    assert (counts.votes, counts.wins, counts.losses, counts.ties, counts.both_bad) == (24, 12, 5, 4, 3)
    assert (counts.win_rate.value, counts.win_rate.of) == (14 / 21, 21)
    assert (other.counts.wins, made.votes, made.users) == (1, 25, 10)
    left = sum(battle.winner == "0" for battle in battles(12, 5))
    assert (pair.first_position.share.value, pair.first_position.share.of) == (left / 17, 17)


@pytest.mark.parametrize(
    ("votes", "verdict", "english", "chinese"),
    [
        ([], "", "no votes yet", "还没有投票"),
        (battles(70, 30, lang="en"), "first", "prefer “Reads the docs” to “Learned the docs”: it wins 70 %", "70%"),
        (battles(30, 70), "second", "prefer “Learned the docs” to “Reads the docs”: it wins 70 %", "学过文档”而不是"),
        (battles(70, 30, people=3), "first", "fewer than 5 known people", "不到 5 个"),
        (battles(6, 4), "open", "189 more votes are needed to tell 60 % from 50 %", "还需要 189 票"),
        (battles(101, 98), "even", "no difference", "没有显示"),
        (battles(4, 0), "open", "195 more votes", "还需要 195 票"),  # chance does that in one case of eight
        (battles(5, 0), "open", "wins 100 % of 5", "还需要 194 票"),
        (battles(0, 0, both_bad=400), "open", "nothing is proven: both were bad in all 400", "全部 400 票"),
        (battles(0, 0, ties=400), "open", "wins 50 % of 400", "在 400 票中"),
    ],
)
def test_one_sentence_says_what_is_proven(votes: list[Battle], verdict: str, english: str, chinese: str) -> None:
    made = build(inputs(votes))
    assert [pair.verdict for pair in made.pairs] == ([verdict] if votes else [])
    assert english in made.sentence["en"]
    assert chinese in made.sentence["zh"]
    assert "{" not in "".join(made.sentence.values())


def test_the_sentence_names_what_is_not_proven_yet() -> None:
    made = build(inputs([*battles(80, 30, lang="en", in_docs="yes"), *battles(6, 4, lang="zh", in_docs="no")]))
    assert (
        "not prove it yet for questions that the docs do not answer (10 votes), questions in Chinese (10 votes)"
        in (made.sentence["en"])
    )


def test_votes_needed_grow_with_ties_and_with_people_who_agree_with_themselves() -> None:
    plain = build(inputs(battles(30, 30))).pairs[0].needed
    tied = build(inputs(battles(30, 30, ties=40))).pairs[0].needed
    assert (plain.total, plain.more) == (199, 139)
    assert tied.total == 332  # 199 of 60 % that are decided
    none = build(inputs(battles(0, 0, both_bad=300))).pairs[0].needed
    one = build(inputs(battles(1, 0, both_bad=300))).pairs[0].needed
    assert none.total < one.total == 199 * 301  # no decided vote says no more than one
    stubborn = [Battle(("rag", "sft"), str(n // 10 % 2), True, f"user{n // 10}") for n in range(60)]
    assert build(inputs(stubborn)).pairs[0].needed.design_effect > 5


def test_ties_do_not_hide_that_people_agree_with_themselves() -> None:
    """Kish's effect is 20 votes a person, whatever a vote is worth: here a third of the people always tie."""
    votes = [
        Battle(("rag", "sft"), ("0", "1", "tie")[person % 3], True, f"user{person}")
        for person in range(30)
        for _ in range(20)
    ]
    assert build(inputs(votes)).pairs[0].needed.design_effect == pytest.approx(20, rel=0.1)


def test_voters_that_are_not_known_any_more_are_not_one_person() -> None:
    """Longer answers win, 9 of 10 votes have lost their voter: the interval is as wide as if all were known."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 2000, (200, 2))
    winners = ["0" if rng.random() < left / (left + right) else "1" for left, right in lengths]
    widths = []
    for known in (1, 10):
        voted = [
            Battle(("rag", "sft"), winner, True, f"user{n}" if n % known == 0 else "", int(left), int(right))
            for n, (winner, (left, right)) in enumerate(zip(winners, lengths, strict=True))
        ]
        found = build(inputs(voted)).pairs[0].equal_length
        assert found
        widths.append(found.high - found.low)
    assert widths[0] == pytest.approx(widths[1])


def test_slices_filters_and_the_adjusted_chance() -> None:
    votes = [*battles(20, 2, topic="Ports", lang="en"), *battles(3, 2, topic="Engines", lang="zh")]
    made = build(inputs(votes, filters=Filters(min_votes=6)))
    slices = made.pairs[0].slices
    assert [(part.value, part.counts.votes) for part in slices["topic"]] == [("Ports", 22)]
    assert slices["product"] == ()
    assert slices["topic"][0].p_holm >= slices["topic"][0].counts.p * 2
    assert made.comparisons == 3
    assert build(inputs(votes, filters=Filters(arms=("rag", "base")))).pairs == ()


def test_the_router_is_held_against_the_votes() -> None:
    votes = battles(8, 2, favoured="rag") + battles(5, 5)
    share = build(inputs(votes)).router.share
    assert (share.value, share.of) == (0.8, 10)


def test_voices_are_counted_and_timed() -> None:
    said = [Said("rag", False, 100, 50.0 + n, 1000.0, 20, 2, n % 2) for n in range(11)]
    (voice,) = build(inputs(tallies=[Tally("rag", 30, 28, 7, 1, 2, 4, 3)], said=said)).voices
    assert (voice.answers, voice.refused.value, voice.failed, voice.up, voice.down) == (30, 0.25, 2, 4, 3)
    assert voice.first_ms
    assert (voice.first_ms.p50, voice.first_ms.p95) == (55.0, 59.5)
    assert voice.citations.value == pytest.approx(17 / 22)


def test_evaluation_runs_are_read_and_what_is_none_is_told(tmp_path: Path) -> None:
    results = [
        {
            "id": f"q{n}",
            "arm": arm,
            "answerable": n != 3,
            "refused": n == 3,
            "facts_recalled": 0.5,
            "latency_ms": 100 * n,
        }
        for n in range(8)
        for arm in ("rag", "sft")
    ]
    run = {"object": "eval_run", "set": "handbook", "started_at": "2026-11-26T05:00:00Z", "results": results}
    (tmp_path / "new.json").write_text(json.dumps(run), encoding="utf-8")
    older = run | {"started_at": "2026-11-01", "results": []}
    (tmp_path / "old.json").write_text(json.dumps(older), encoding="utf-8")
    wrong = run | {"results": [{"id": "q", "arm": "rag", "facts_recalled": 7}]}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    runs, problems = read_runs(tmp_path)
    assert [found.file for found in runs] == ["new.json", "old.json"]
    assert "wrong.json is no evaluation run: results.0.facts_recalled" in problems[0]
    made = build(inputs(), runs, problems)
    scores = made.runs[0].scores[0]
    assert (scores.arm, scores.questions, scores.facts_recalled.value) == ("rag", 8, 0.5)
    assert (scores.refusals_right.value, scores.faithful.value) == (1.0, None)
    page = html.page(made)
    assert "handbook, 2026-11-26" in page
    assert "wrong.json" in page
    assert read_runs(tmp_path / "none") == ([], [])


def test_json_is_read_back_as_it_was() -> None:
    made = build(inputs(battles(12, 9, lang="en"), [Tally("rag", 3, 3)], [Said("rag")]))
    assert from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_pages_are_whole_and_hold_no_script_and_no_address() -> None:
    made = build(inputs(battles(30, 20, topic=HOSTILE, lang="zh"), [Tally(HOSTILE, 3, 3)]))
    for lang in ("en", "zh"):
        page = html.page(made, lang)
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert not re.search(r"https?://|url\(|@import|\son\w+=", page)
        for tag in ("section", "table", "div", "dl", "svg", "span", "details"):
            assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag
    assert 'lang="zh-CN"' in html.page(made, "zh")


def test_the_table_has_every_number_and_no_formula() -> None:
    made = build(inputs(battles(30, 20, topic=HOSTILE), [Tally("rag", 3, 3)], [Said("rag", total_ms=5.0)]))
    rows = list(csv.DictReader(io.StringIO(table.as_csv(made).removeprefix("\ufeff"))))
    assert not [row for row in rows if row["value"].startswith("=")]
    (wins,) = [row for row in rows if row["measure"] == "wins" and not row["by"]]
    assert wins["estimate"] == "30"
    assert {"win_rate", "left_share", "votes_needed", "p_holm", "total_ms_p95"} <= {row["measure"] for row in rows}


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("votes", [0, 30])
def test_charts_are_pictures_and_complain_of_no_missing_letter(
    lang: str, votes: int, recwarn: pytest.WarningsRecorder
) -> None:
    made = build(inputs(battles(votes, votes, lang="zh"), [Tally("rag", 3, 3)], [Said("rag", False, 9, 8.0, 7.0, 6)]))
    for name in chart.NAMES:
        assert chart.png(made, name, lang).startswith(b"\x89PNG")
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_time_is_written_as_people_do() -> None:
    assert since("") == 0.0
    assert since("2026-11-01") == 1793491200.0
    assert since("7d") == pytest.approx(since("168h"), abs=2)
    for wrong in ("yesterday", "7", "1e9d"):
        with pytest.raises(ConfigError, match="30d"):
            since(wrong)


def test_both_languages_say_the_same_things() -> None:
    english, chinese = TEXTS["en"], TEXTS["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", chinese[key])), key

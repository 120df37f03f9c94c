"""The scorecard to read: one page by itself, light, dark or on paper, without script and without an address. Pure.

The head, the gate, the figures and what they are of; pictures.py draws, answers.py shows the worst questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evals.look.html import day, document, raw_table, style, table, unbroken
from evals.report.stats import LEVEL
from evals.scorecard import answers, pictures
from evals.scorecard.measures import BY_NAME, MEASURES
from evals.scorecard.results import Contrast, Gate, Part, Score, Scorecard
from evals.scorecard.sentence import ability, said
from evals.scorecard.words import Words


def to_html(card: Scorecard, lang: str = "en") -> str:
    """A whole document."""
    words = Words(lang)
    parts = [
        _head(card, words),
        _gate(card.gate, words) if card.gate else "",
        _section(words, "triangle", pictures.triangles(card, words)),
        _section(words, "figures", _figures(card, card.all, words)),
        _contrasts(card, words),
        _slices(card, words),
        _abilities(card, words),
        answers.section(card, words),
        _provenance(card, words),
        _notes(card, words),
    ]
    sheets = f"<style>{style('style.css')}{style('scorecard.css')}</style>"
    return document(words("title"), f'{sheets}<article class="dr ds">{"".join(parts)}</article>', lang)


def _section(words: Words, name: str, body: str) -> str:
    how = f'<p class="dr-how">{unbroken(words(f"{name}.how"))}</p>'
    return f"<section><h2>{escape(words(name))}</h2>{how}{body}</section>"


def _head(card: Scorecard, words: Words) -> str:
    sets = words.joined(sorted({column.set for column in card.columns}))
    meta = [words("meta", n=card.all.questions, set=sets), words("made", day=day(card.made_at, minutes=True))]
    return (
        f'<h1>DocDuet · {escape(words("title"))}</h1><p class="dr-headline">{unbroken(card.sentence[words.lang])}</p>'
        f"{f'<p>{unbroken(peer)}</p>' if (peer := card.peer[words.lang]) else ''}"
        f'<p class="ds-limits">{unbroken(card.limits[words.lang])}</p><p class="dr-meta">{escape(" · ".join(meta))}</p>'
    )


def _gate(gate: Gate, words: Words) -> str:
    name = "passed" if gate.passed else "failed"
    told = {"baseline": gate.baseline, "margin": words.points(gate.margin)}
    how = words(f"gate.{name}.how", **told, **({"n": len(gate.compared)} if gate.passed else {}))
    items = "".join(f"<li>{escape(text)}</li>" for text in words.gate_lines(gate))
    return (
        f'<div class="ds-gate ds-gate-{name}"><h2>{escape(words(f"gate.{name}"))}</h2><p>{escape(how)}</p>'
        f"{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def _heads(card: Scorecard, words: Words, chosen: Sequence[int]) -> list[str]:
    return [pictures.name(card, n, words) for n in chosen]


def _figures(card: Scorecard, part: Part, words: Words) -> str:
    """Measures down, columns across. What no column has is left out."""
    known = [m for m in MEASURES if any(score.value is not None for score in part.scores[m.name])]
    rows = []
    for measure in known:
        arrow = {1: "↑", -1: "↓", 0: ""}[measure.better]
        turn = {1: "up", -1: "down"}.get(measure.better)
        sign = f'<abbr title="{escape(words(turn), quote=True)}">{arrow}</abbr>' if turn else ""
        name = f"{escape(words(measure.name))} {sign}<small>{escape(words(f'how.{measure.name}'))}</small>"
        rows.append([name, *(_cell(measure.name, score, words) for score in part.scores[measure.name])])
    heads = [escape(words("measure")), *_heads(card, words, range(len(card.columns)))]
    return raw_table("", heads, rows, words("figures"), "ds-figures")


def _cell(measure: str, score: Score, words: Words) -> str:
    if score.value is None:
        return '<span class="ds-none">–</span>'
    under = words.interval(measure, score)
    late = f"<small>{escape(words('p95', p95=words.shown(measure, score.p95)))}</small>" if score.p95 else ""
    bar = pictures.bar(score) if BY_NAME[measure].share else ""
    return f"<b>{escape(words.shown(measure, score.value))}</b>{bar}<small>{escape(under)}</small>{late}"


def _contrasts(card: Scorecard, words: Words) -> str:
    if not card.contrasts:
        return ""
    blocks = "".join(_contrast(card, contrast, words, first=not n) for n, contrast in enumerate(card.contrasts))
    return _section(words, "contrasts", blocks)


def _contrast(card: Scorecard, contrast: Contrast, words: Words, first: bool) -> str:
    shares = [one for one in contrast.differences if BY_NAME[one.measure].share]
    others = [one for one in contrast.differences if one not in shares]
    heads = [words("measure"), words.before(card, contrast), words.after(card, contrast), words("difference"), ""]
    rows = [
        [
            words(one.measure),
            words.shown(one.measure, one.before),
            words.shown(one.measure, one.after),
            f"{words.change(one, one.value)} ({words.range(one)})",
            words(f"verdict.{one.verdict}"),
        ]
        for one in others
    ]
    title = escape(words.contrast(card, contrast))
    return (
        f"<details{' open' if first else ''}><summary><h3>{title}</h3> "
        f'<span class="ds-of">{escape(words("contrast.of", n=contrast.questions))}</span></summary>'
        f"<p>{unbroken(said(card, contrast, words))}</p>{pictures.forest(shares, words)}"
        f"{table('', heads, rows) if rows else ''}</details>"
    )


def _slices(card: Scorecard, words: Words) -> str:
    found = ""
    for by in ("lang", "kind"):
        parts = [part for part in card.parts if part.by == by]
        if not parts:
            continue
        rows = []
        for part in parts:
            measure = "refusal_recall" if part.value == "unanswerable" else "facts_recalled"
            label = words("part.count", part=words.named(by, part.value), n=part.questions)
            note = f"{escape(label)}<small>{escape(words(measure))}</small>"
            rows.append([note, *(_cell(measure, score, words) for score in part.scores[measure])])
        heads = ["", *_heads(card, words, range(len(card.columns)))]
        unfolded = "".join(
            f"<details><summary><h3>{escape(words('part.all', part=words.named(by, part.value)))}</h3></summary>"
            f"{_figures(card, part, words)}</details>"
            for part in parts
        )
        found += (
            f"<section><h2>{escape(words(f'part.{by}'))}</h2>"
            f'<p class="dr-how">{unbroken(words("part.how"))}</p>'
            f"{raw_table('', heads, rows, words(f'part.{by}'), 'ds-figures')}{unfolded}</section>"
        )
    return found


def _abilities(card: Scorecard, words: Words) -> str:
    found = card.abilities
    if not found.suite and not found.tasks:
        return f"<section><h2>{escape(words('abilities'))}</h2><p>{escape(words('abilities.none'))}</p></section>"
    chosen = [n for n, score in enumerate(found.total) if score.value is not None]
    rows = [
        [escape(name), *(_cell("facts_recalled", scores[n], words) for n in chosen)]
        for name, scores in [(words("task.all"), found.total), *found.tasks.items()]
    ]
    heads = [escape(words("task")), *_heads(card, words, chosen)]
    how = f'<p class="dr-how">{escape(words("abilities.how", suite=found.suite))}</p>'
    changes = "".join(f"<p>{unbroken(ability(card, change, words))}</p>" for change in found.changes)
    return (
        f"<section><h2>{escape(words('abilities'))}</h2>{how}{changes}"
        f"{raw_table('', heads, rows, words('abilities'), 'ds-figures')}</section>"
    )


def _provenance(card: Scorecard, words: Words) -> str:
    return f"<section><h2>{escape(words('provenance'))}</h2>{table('', *words.provenance(card))}</section>"


def _notes(card: Scorecard, words: Words) -> str:
    told = [
        words("note.many", count=card.comparisons, chance=f"{card.comparisons * (1 - LEVEL):.1f}"),
        words("note.seed", level=f"{100 * LEVEL:.0f}", seed=card.seed),
        words("note.general"),
        words("note.dash"),
    ]
    wrong = "".join(f'<p class="dr-wrong">{escape(problem)}</p>' for problem in card.problems)
    wrong = f"<h3>{escape(words('problems'))}</h3>{wrong}" if wrong else ""
    items = "".join(f"<li>{unbroken(text)}</li>" for text in told)
    return f"<section><h2>{escape(words('notes'))}</h2><ul>{items}</ul>{wrong}</section>"

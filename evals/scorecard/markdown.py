"""The scorecard as Markdown, for a README, a pull request or a model card. Pure.

Text of others is escaped, and answers stand in fences that are longer than any in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from evals.report.stats import LEVEL
from evals.scorecard import triangle
from evals.scorecard.measures import BY_NAME, MEASURES
from evals.scorecard.results import Contrast, Gate, Part, Score, Scorecard, Side, Worst
from evals.scorecard.sentence import ability, said
from evals.scorecard.words import Words
from evals.scorecard.worst import SHOWN


def to_markdown(card: Scorecard, lang: str = "en") -> str:
    words = Words(lang)
    blocks = [
        f"# DocDuet: {words('title')}",
        f"**{plain(card.sentence[lang])}**",
        *([plain(card.peer[lang])] if card.peer[lang] else ()),
        plain(card.limits[lang]),
        *(_gate(card.gate, words) if card.gate else ()),
        *_section("figures", _figures(card, card.all, words), words),
        *_section("triangle", _triangle(card, words), words),
        *_contrasts(card, words),
        *_slices(card, words),
        *_abilities(card, words),
        *_worst(card, words),
        *_notes(card, words),
    ]
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """As text on one line, whatever it holds."""
    return re.sub(r"([\\`*_\[\]<>#|&~$!])", r"\\\1", " ".join(text.split()))


def fenced(text: str) -> str:
    """As it is, in a fence that nothing in it closes."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    shown = [[plain(cell) for cell in heads], lines[1], *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)


def _section(name: str, body: str, words: Words) -> list[str]:
    return [f"## {words(name)}", plain(words(f"{name}.how")), body]


def _names(card: Scorecard, words: Words) -> list[str]:
    return [words.column(column) for column in card.columns]


def _gate(gate: Gate, words: Words) -> list[str]:
    name = "passed" if gate.passed else "failed"
    told = {"baseline": gate.baseline, "margin": words.points(gate.margin)}
    how = words(f"gate.{name}.how", **told, **({"n": len(gate.compared)} if gate.passed else {}))
    lines = words.gate_lines(gate)
    return [f"## {words(f'gate.{name}')}", plain(how), *(["\n".join(f"- {plain(x)}" for x in lines)] if lines else [])]


def _figures(card: Scorecard, part: Part, words: Words) -> str:
    known = [m.name for m in MEASURES if any(score.value is not None for score in part.scores[m.name])]
    rows = [[words(name), *(_cell(name, score, words) for score in part.scores[name])] for name in known]
    return table([words("measure"), *_names(card, words)], rows)


def _cell(measure: str, score: Score, words: Words) -> str:
    interval = words.interval(measure, score)
    return words.shown(measure, score.value) + (f" ({interval})" if interval else "")


def _triangle(card: Scorecard, words: Words) -> str:
    rows = []
    for n, column in enumerate(card.columns):
        corners = zip(triangle.CORNERS, triangle.shares(card, n), strict=True)
        rows.append([words.column(column), *(words.corner(column.quoting, name, share) for name, share in corners)])
    return table([words("voice"), *(words(corner) for corner in triangle.CORNERS)], rows)


def _contrasts(card: Scorecard, words: Words) -> list[str]:
    found = [block for contrast in card.contrasts for block in _contrast(card, contrast, words)]
    return [f"## {words('contrasts')}", *found] if found else []


def _contrast(card: Scorecard, contrast: Contrast, words: Words) -> list[str]:
    heads = [words("measure"), words.before(card, contrast), words.after(card, contrast), words("difference"), ""]
    rows = [
        [
            words(one.measure),
            words.shown(one.measure, one.before),
            words.shown(one.measure, one.after),
            f"{words.change(one, one.value)} ({words.range(one)})"
            + (f" {words('points')}" if BY_NAME[one.measure].share else ""),
            words(f"verdict.{one.verdict}"),
        ]
        for one in contrast.differences
    ]
    return [f"### {plain(words.contrast(card, contrast))}", plain(said(card, contrast, words)), table(heads, rows)]


def _slices(card: Scorecard, words: Words) -> list[str]:
    blocks = []
    for by in ("lang", "kind"):
        parts = [part for part in card.parts if part.by == by]
        blocks += [f"## {words(f'part.{by}')}"] if parts else []
        for part in parts:
            title = words("part.count", part=words.named(by, part.value), n=part.questions)
            blocks += [f"### {plain(title)}", _figures(card, part, words)]
    return blocks


def _abilities(card: Scorecard, words: Words) -> list[str]:
    found = card.abilities
    if not found.tasks:
        return [f"## {words('abilities')}", words("abilities.none")]
    rows = [
        [name, *(_cell("facts_recalled", score, words) for score in scores)]
        for name, scores in [(words("task.all"), found.total), *found.tasks.items()]
    ]
    how = plain(words("abilities.how", suite=found.suite))
    changes = [plain(ability(card, change, words)) for change in found.changes]
    return [f"## {words('abilities')}", how, *changes, table([words("task"), *_names(card, words)], rows)]


def _worst(card: Scorecard, words: Words) -> list[str]:
    title = words("worst" if len(card.worst) == SHOWN else "worst.few")
    how = words("worst.how" if card.worst else "worst.none")
    return [f"## {title}", how, *(block for found in card.worst for block in _question(found, card, words))]


def _question(found: Worst, card: Scorecard, words: Words) -> list[str]:
    head = [f"### {plain(found.question)}", plain(" · ".join(words.tags(found)))]
    return head + [block for side in found.sides for block in _side(side, card, words)]


def _side(side: Side, card: Scorecard, words: Words) -> list[str]:
    title = f"**{plain(words.column(card.columns[side.column]))}** ({plain(', '.join(words.badges(side)))})"
    blocks = [title, fenced(side.answer or words("answer.none"))]
    if side.missing:
        blocks += [f"{words('missing')}:", "\n".join(f"- ✗ {plain(text)}" for text in side.missing)]
    return blocks


def _notes(card: Scorecard, words: Words) -> list[str]:
    told = [
        words("note.many", count=card.comparisons, chance=f"{card.comparisons * (1 - LEVEL):.1f}"),
        words("note.seed", level=f"{100 * LEVEL:.0f}", seed=card.seed),
        words("note.general"),
        words("note.dash"),
        *card.problems,
    ]
    notes = "\n".join(f"- {plain(text)}" for text in told)
    return [f"## {words('provenance')}", table(*words.provenance(card)), f"## {words('notes')}", notes]

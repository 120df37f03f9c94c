"""The report to read: a fragment for the chat app, or a page by itself without script and without an address. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from evals.look.html import day, document, style, table, unbroken
from evals.report import forest
from evals.report.results import Counts, Pair, Report, Run, Share, Spread, Voice
from evals.report.words import Words


def page(report: Report, lang: str = "en") -> str:
    """A whole document, to be kept or sent on."""
    return document(Words(lang)("title"), fragment(report, lang), lang)


def fragment(report: Report, lang: str = "en") -> str:
    """The report with its own style; colours are those of the page around it, where that has any."""
    words = Words(lang)
    parts = [_head(report, words)]
    if report.pairs:
        parts.append(_forest(report, words))
        parts += [_pair(pair, words, first=not n) for n, pair in enumerate(report.pairs)]
    parts += [_voices(report.voices, words)] if report.voices else []
    parts += [_router(report, words), _runs(report, words)]
    parts += [_notes(report, words)] if report.pairs else []
    return f'<style>{style("style.css")}</style><article class="dr">{"".join(parts)}</article>'


def _head(report: Report, words: Words) -> str:
    told = [words("summary", votes=f"{report.votes:,}", people=words.people(report.users))] if report.votes else []
    given = report.filters
    told += [words("since", day=day(given["since"]))] if given.get("since") else []
    told += [words("only.lang", value=words.named("lang", given["lang"]))] if given.get("lang") else []
    told += [words("only.product", value=given["product"])] if given.get("product") else []
    arms = words("list").join(words.named("voice", arm) for arm in given.get("arms") or ())
    told += [words("only.arms", value=arms)] if arms else []
    told.append(words("made", day=day(report.made_at, minutes=True)))
    return (
        f'<h1>{escape(words("title"))}</h1><p class="dr-headline">{_sentence(report.sentence, words)}</p>'
        f'<p class="dr-meta">{escape(" · ".join(told))}</p>'
    )


def _forest(report: Report, words: Words) -> str:
    groups = "".join(_group(pair, words) for pair in report.pairs)
    how = f'<p class="dr-how">{escape(words("forest.how"))}</p>'
    return f"<section><h2>{escape(words('forest'))}</h2>{how}{groups}</section>"


def _group(pair: Pair, words: Words) -> str:
    first, second = (escape(words.named("voice", arm)) for arm in pair.arms)
    rows = "".join(
        f'<div class="dr-row"><span class="dr-label">{escape(line.label)}<small>{escape(line.note)}</small></span>'
        f'{forest.svg(line, words)}<span class="dr-value">{words.percent(line.value)}'
        f"<small>{words.percent(line.low)} – {words.percent(line.high)}</small></span></div>"
        for line in forest.lines(pair, words)
    )
    scale = "".join(f"<span>{escape(text)}</span>" for text in (words.percent(0), words("half"), words.percent(1)))
    return (
        f'<div class="dr-forest"><h3>{_versus(pair, words)}</h3><div class="dr-row dr-scale"><span></span>'
        f"<div><span>← {words('better', voice=second)}</span><span>{words('better', voice=first)} →</span></div>"
        "<span></span></div>"
        f'{rows}<div class="dr-row dr-scale"><span></span><div>{scale}</div><span></span></div></div>'
    )


def _pair(pair: Pair, words: Words, first: bool) -> str:
    slices = "".join(_slices(name, pair, words) for name in pair.slices)
    said = "" if first else f'<p class="dr-said">{_sentence(pair.sentence, words)}</p>'  # the first's is the headline
    return (
        f"<section><details{' open' if first else ''}><summary><h2>{_versus(pair, words)}</h2></summary>"
        f"{said}{_tally(pair, words)}{_facts(pair, words)}{slices}"
        "</details></section>"
    )


def _versus(pair: Pair, words: Words) -> str:
    first, second = (words.named("voice", arm) for arm in pair.arms)
    return escape(words("versus", first=first, second=second))


def _tally(pair: Pair, words: Words) -> str:
    """Votes by outcome, as big numbers."""
    first, second = (words.named("voice", arm) for arm in pair.arms)
    names = ("votes", "wins", "losses", "ties", "both_bad")
    cells = (
        f"<div><dt>{escape(words(f'count.{name}', first=first, second=second))}</dt>"
        f"<dd>{getattr(pair.counts, name):,}</dd></div>"
        for name in names
    )
    return f'<dl class="dr-tally">{"".join(cells)}</dl>'


def _facts(pair: Pair, words: Words) -> str:
    """Each statistic with a sentence that says what it means."""
    rate, users, same, left = pair.counts.win_rate, pair.by_user, pair.equal_length, pair.first_position
    first = words.named("voice", pair.arms[0])
    liked = "neither" if same is None or same.slope_p >= 0.05 else "longer" if same.slope > 0 else "shorter"
    needed = "more" if pair.needed.more else "enough"
    counts = {"total": f"{pair.needed.total:,}", "more": f"{pair.needed.more:,}"}
    facts = [
        ("win_rate", _estimate(rate, words), words("fact.win_rate.how", first=first)),
        (
            "by_user",
            _estimate(users, words) if users else words("fact.by_user.none"),
            words("fact.by_user.how", people=words.people(users.users if users else 0)) if users else "",
        ),
        ("sign", words.p_value(pair.counts.p), words("fact.sign.how")),
        (
            "length",
            _estimate(same, words) if same else words("fact.length.none"),
            words("fact.length.how", liked=words(f"liked.{liked}")) if same else "",
        ),
        (
            "left",
            _estimate(left.share, words) if left.share.of else words("fact.left.none"),
            words("fact.left.how", p=words.p_value(left.p)) if left.share.of else "",
        ),
        ("needed", words(f"fact.needed.{needed}", **counts), words("fact.needed.how")),
    ]
    cells = (
        f"<div><dt>{escape(words(f'fact.{name}'))}</dt><dd><b>{escape(value)}</b> <span>{escape(how)}</span></dd></div>"
        for name, value, how in facts
    )
    return f'<dl class="dr-facts">{"".join(cells)}</dl>'


def _slices(name: str, pair: Pair, words: Words) -> str:
    parts = pair.slices[name]
    if not parts:
        return ""
    title = words("slice", name=words(f"slice.{name}"))
    heads = ["", *(words(f"slice.{head}") for head in ("votes", "wins", "losses", "ties", "both_bad", "rate", "p"))]
    rows = [
        [words.named(name, part.value), *_counted(part.counts, words), words.p_value(part.p_holm)] for part in parts
    ]
    return table(title, heads, rows)


def _counted(counts: Counts, words: Words) -> list[str]:
    numbers = (counts.votes, counts.wins, counts.losses, counts.ties, counts.both_bad)
    return [*(f"{number:,}" for number in numbers), _estimate(counts.win_rate, words)]


def _estimate(found: object, words: Words) -> str:
    """``62 % (55 % – 68 %)`` of anything with value, low and high."""
    value = getattr(found, "value", None)
    if value is None:
        return "–"
    low, high = (words.percent(getattr(found, end)) for end in ("low", "high"))
    return f"{words.percent(value)} ({low} – {high})"


def _voices(voices: Sequence[Voice], words: Words) -> str:
    heads = [words(name) for name in ("voice", "answers", "refused", "degraded", "failed", "thumbs", "citations")]
    rows = [
        [
            words.named("voice", voice.arm),
            f"{voice.answers:,}",
            _estimate(voice.refused, words),
            words.percent(voice.degraded.value),
            f"{voice.failed:,}",
            f"{voice.up:,} / {voice.down:,}",
            words.percent(voice.citations.value),
        ]
        for voice in voices
    ]
    bars = "".join(_bars(name, voices, words) for name in ("first_ms", "total_ms", "tokens", "length"))
    return (
        f'<section><h2>{escape(words("voices"))}</h2><p class="dr-how">{escape(words("voices.how"))}</p>'
        f'{table("", heads, rows)}<p class="dr-how">{escape(words("refused.how"))}</p>'
        f'<div class="dr-multiples">{bars}</div></section>'
    )


def _bars(name: str, voices: Sequence[Voice], words: Words) -> str:
    """One small picture: the median of each voice as a bar, and a line to the 95th percentile."""
    spreads = [(voice, spread) for voice in voices if (spread := getattr(voice, name))]
    most = max((spread.p95 for _, spread in spreads), default=0.0)
    if not most:
        return ""
    rows = "".join(
        f'<div class="dr-bar"><span>{escape(words.named("voice", voice.arm))}</span>'
        f'<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="dr-p95" d="M0 6H{100 * spread.p95 / most:.2f}"/>'
        f'<path class="dr-p50" d="M0 6H{100 * spread.p50 / most:.2f}"/>'
        f"</svg><small>{escape(_spread(name, spread, words))}</small></div>"
        for voice, spread in spreads
    )
    return f"<div><h3>{escape(words(name))}</h3>{rows}</div>"


def _spread(name: str, spread: Spread, words: Words) -> str:
    def shown(value: float) -> str:
        return words.time(value) if name.endswith("_ms") else f"{value:,.0f}"

    return words("spread", p50=shown(spread.p50), p95=shown(spread.p95))


def _router(report: Report, words: Words) -> str:
    share = report.router.share
    told = {"share": words.percent(share.value), "low": words.percent(share.low), "high": words.percent(share.high)}
    said = words("router.how", of=f"{share.of:,.0f}", **told) if share.of else words("router.none")
    return f"<section><h2>{escape(words('router'))}</h2><p>{escape(said)}</p></section>"


def _runs(report: Report, words: Words) -> str:
    body = "".join(_run(run, words) for run in report.runs)
    how = (
        f'<p class="dr-how">{escape(words("runs.how"))}</p>' if report.runs else f"<p>{escape(words('runs.none'))}</p>"
    )
    wrong = "".join(f'<p class="dr-wrong">{escape(problem)}</p>' for problem in report.problems)
    return f"<section><h2>{escape(words('runs'))}</h2>{how}{body}{wrong}</section>"


def _run(run: Run, words: Words) -> str:
    names = ("facts_recalled", "citation_precision", "citation_recall", "faithful", "refused", "refusals_right")
    heads = [words(name) for name in ("voice", "questions", *names, "total_ms")]
    rows = [
        [
            words.named("voice", scores.arm),
            f"{scores.questions:,}",
            *(_estimate(_known(getattr(scores, name)), words) for name in names),
            _spread("total_ms", scores.total_ms, words) if scores.total_ms else "–",
        ]
        for scores in run.scores
    ]
    return table(words("run", set=run.set, day=run.started_at[:10] or run.file), heads, rows)


def _sentence(said: Mapping[str, str], words: Words) -> str:
    """Text whose lines never break between a number and its "%"."""
    return unbroken(said[words.lang])


def _known(share: Share) -> Share | None:
    return share if share.value is not None else None


def _notes(report: Report, words: Words) -> str:
    many = words("note.many", count=f"{report.comparisons:,}", chance=f"{report.comparisons * 0.05:.1f}")
    items = "".join(f"<li>{escape(text)}</li>" for text in (many, words("note.users"), words("note.cause")))
    return f"<section><h2>{escape(words('notes'))}</h2><ul>{items}</ul></section>"

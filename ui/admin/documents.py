"""Gaps in the docs, a page's chunks and the test of the search as HTML. Pure; bodies are what the gateway answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from ui.admin.asked import DAYS, Asked
from ui.admin.markup import Safe, badge, button, empty, facts, head, lines, table, text, when
from ui.client import Labels
from ui.i18n import Words

Body = Mapping[str, Any]
KINDS = ("refused", "thumbs_down", "both_bad", "unsupported")
COLOURS = 6
LONGEST = 200_000
"""Characters of a page's text that are shown."""

PAGES_SHOWN = 30


def gaps(body: Body, asked: Asked, words: Words) -> str:
    """The topics that the docs do not answer well."""
    days = "".join(_option(str(days), words("admin.days", count=days), days == asked.days) for days in DAYS)
    choice = f'<select name="days" aria-label="{text(words("admin.window"))}">{days}</select>'
    act = f'<form data-form="gaps">{choice}</form>' + button(words("admin.csv"), "csv")
    about = words("admin.gaps_about", troubled=f"{body['troubled']:,}", asked=f"{body['asked']:,}")
    top = head(words("admin.gaps"), about, act)
    if not body["data"]:
        return top + empty(words("admin.no_gaps"))
    note = words("admin.gaps_most", count=f"{body['troubled']:,}") if body["more"] else ""
    shown = len(body["data"])
    note += words("admin.gaps_shown", count=shown, total=f"{body['groups']:,}") if shown < body["groups"] else ""
    return top + (empty(note) if note else "") + "".join(_gap(n, gap, words) for n, gap in enumerate(body["data"]))


def _gap(number: int, gap: Body, words: Words) -> str:
    kinds = "".join(_kind(kind, words, gap["kinds"][kind]) for kind in KINDS if gap["kinds"].get(kind))
    share = words("admin.gaps_share", share=f"{100 * gap['share']:.0f}")
    named = f'<span class="dd-dim" dir="auto">{text(" · ".join(gap["words"]))}</span>' if gap["words"] else ""
    samples = "".join(_sample(sample, words) for sample in gap["samples"])
    rest = gap["count"] - len(gap["samples"])
    more = f"<li>{text(words('admin.more', count=rest))}</li>" if rest > 0 else ""
    return (
        f'<details class="dd-box dd-gap" data-key="gap-{number}"><summary>'
        f'<span class="dd-count">{gap["count"]:,}</span>'
        f'<span class="dd-gap-what"><strong dir="auto">{text(gap["question"])}</strong>{named}</span>'
        f'<span class="dd-gap-told">{kinds}<span class="dd-dim">{text(share)} · {when(gap["last_at"], words).html}'
        f"</span></span></summary><ul>{samples}{more}</ul></details>"
    )


def _kind(kind: str, words: Words, count: int = 0) -> str:
    tone = "note" if kind == "refused" else "bad"
    return badge(tone, words(f"admin.kind.{kind}") + (f" {count:,}" if count > 1 else ""))


def _sample(sample: Body, words: Words) -> str:
    link = f'<a href="#admin/gaps/{quote(sample["answer_id"], safe="")}" dir="auto">{text(sample["question"])}</a>'
    kinds = "".join(_kind(kind, words) for kind in sample["kinds"])
    return f"<li>{link} {kinds} <span class=dd-dim>{when(sample['at'], words).html}</span></li>"


def answer(body: Body, words: Words) -> str:
    """One answer behind a gap, without who asked."""
    kinds = "".join(_kind(kind, words) for kind in body["kinds"])
    back = f'<p><a href="#admin/gaps">← {text(words("admin.gaps"))}</a></p>'
    top = f'{back}<h2 dir="auto">{text(body["question"])}</h2><p>{kinds} {when(body["asked_at"], words).html}</p>'
    vote = body["vote"]
    said = f'<p dir="auto">{text(words("admin.comment"))}: {text(vote["comment"])}</p>' if vote["comment"] else ""
    sides = "".join(_choice(choice, words) for choice in body["choices"])
    return f'{top}{said}<div class="dd-cards">{sides}</div>'


def _choice(choice: Body, words: Words) -> str:
    name = words.voice(choice["arm"]) if choice["arm"] else words("admin.hidden")
    support = f"{choice['supported']} / {choice['sentences']}" if choice["sentences"] else ""
    thumb = words(f"admin.thumb.{choice['rating']}") if choice["rating"] else ""
    told = facts(
        [
            (words("admin.supported"), support),
            (words("admin.sources_cited"), ", ".join(choice["sources"])),
            (words("admin.thumb"), thumb),
            (words("admin.reasons"), ", ".join(map(str, choice["reasons"]))),
            (words("admin.comment"), choice["comment"]),
            (words("admin.should"), choice["should_have_said"]),
        ]
    )
    state = badge("note", words("admin.kind.refused")) if choice["refused"] else ""
    body = f'<div class="dd-text" dir="auto">{lines(choice["text"])}</div>'
    return f'<section class="dd-box"><h3>{text(name)} {state}</h3>{body}{told}</section>'


def pages(body: Body, asked: Asked, words: Words) -> str:
    """Pages to choose from."""
    box = f'<input type="search" name="q" value="{text(asked.q)}" aria-label="{text(words("admin.find_page"))}" '
    form = (
        f'<form data-form="chunks" class="dd-find">{box}placeholder="{text(words("admin.find_page"))}">'
        f'<button type="submit" class="dd-do dd-primary">{text(words("admin.find"))}</button></form>'
    )
    top = head(words("admin.chunks_title"), words("admin.chunks_about")) + form
    heads = [words(f"admin.{name}") for name in ("page", "address", "language", "chunks")]
    rows = [
        (
            Safe(
                f'<a href="#admin/chunks/{text(page["page_id"])}" dir="auto">{text(page["title"] or page["url"])}</a>'
            ),
            Safe(f"<code>{text(page['url'])}</code>"),
            words.language(page["lang"]),
            page["chunks"],
        )
        for page in body["data"]
    ]
    listed = table(heads, rows, words("admin.chunks_title")) if rows else empty(words("admin.no_pages"))
    return top + listed + _paging(body, words)


def _paging(body: Body, words: Words) -> str:
    first, shown, total = body["offset"] + 1, len(body["data"]), body["total"]
    if total <= PAGES_SHOWN:
        return ""
    before = _step(words("admin.before"), max(0, body["offset"] - PAGES_SHOWN)) if body["offset"] else ""
    after = _step(words("admin.after"), body["offset"] + shown) if body["offset"] + shown < total else ""
    place = words("admin.place", first=f"{first:,}", last=f"{first + shown - 1:,}", total=f"{total:,}")
    return f'<nav class="dd-paging" aria-label="{text(place)}">{before}<span>{text(place)}</span>{after}</nav>'


def _step(label: str, offset: int) -> str:
    key = f'data-key="to-{offset}"'
    return f'<button type="button" class="dd-do" data-do="look" data-offset="{offset}" {key}>{text(label)}</button>'


def chunks(body: Body, words: Words) -> str:
    """One page's text with its chunks in colours, and beside it what is embedded of each."""
    rows = body["data"]
    back = f'<p><a href="#admin/chunks">← {text(words("admin.chunks_title"))}</a></p>'
    total = sum(row["tokens"] for row in rows)
    about = words("admin.cut_into", count=len(rows), tokens=f"{total:,}", embedder=body["embedder"])
    url = f"<p><code>{text(body['url'])}</code></p>"
    shown = "".join(_piece(piece, words) for piece in segments(body["body"][:LONGEST], rows))
    cut = f"<p>{text(words('admin.cut_off'))}</p>" if len(body["body"]) > LONGEST else ""
    listed = "".join(_chunk(n, row, rows, words) for n, row in enumerate(rows))
    return (
        f"{back}{head(body['title'] or body['url'], about)}{url}"
        f'<div class="dd-cut"><div class="dd-page-text" dir="auto" lang="{text(body["lang"])}">{shown}{cut}</div>'
        f'<div class="dd-chunks">{listed}</div></div>'
    )


def segments(body: str, rows: Sequence[Body]) -> list[tuple[str, tuple[int, ...]]]:
    """``body`` cut wherever a chunk begins or ends: (text, numbers of the chunks that hold it)."""
    edges = sorted({0, len(body), *(min(row[end], len(body)) for row in rows for end in ("start", "end"))})
    found, first = [], 0
    for start, end in pairwise(edges):
        while first < len(rows) and rows[first]["end"] <= start:
            first += 1
        near = range(first, min(first + COLOURS, len(rows)))
        found.append((body[start:end], tuple(n for n in near if rows[n]["start"] <= start and end <= rows[n]["end"])))
    return found


def _piece(piece: tuple[str, tuple[int, ...]], words: Words) -> str:
    said, held = piece
    if not held:
        return lines(said)
    number = held[-1]
    overlap = " dd-overlap" if len(held) > 1 else ""
    label = text(words("admin.chunk", number=number + 1))
    return (
        f'<span class="dd-piece dd-hue-{number % COLOURS}{overlap}" data-chunk="{number}" role="button" tabindex="0" '
        f'aria-label="{label}" title="{label}">{lines(said)}</span>'
    )


def _chunk(number: int, row: Body, rows: Sequence[Body], words: Words) -> str:
    path = " › ".join(row["heading_path"])
    over = max(0, rows[number - 1]["end"] - row["start"]) if number else 0
    shared = badge("note", words("admin.overlap", count=over)) if over else ""
    tokens = words("admin.tokens", count=f"{row['tokens']:,}")
    name = words("admin.chunk", number=number + 1)
    return (
        f'<details class="dd-chunk dd-hue-{number % COLOURS}" id="dd-chunk-{number}" data-key="chunk-{number}">'
        f'<summary><strong>{text(name)}</strong> <span class="dd-dim">{text(tokens)}</span> {shared}'
        f'<span class="dd-chunk-path" dir="auto">{text(path)}</span></summary>'
        f'<p class="dd-dim">{text(words("admin.embedded"))}</p>'
        f'<pre dir="auto"><span class="dd-context">{lines(row["context"])}</span>\n{lines(row["text"])}</pre></details>'
    )


def search(body: Body | None, asked: Asked, labels: Labels, words: Words) -> str:
    """The box, and what the search found."""
    found = _found(body, words) if body is not None else ""
    return head(words("admin.search"), words("admin.search_about")) + _search_form(asked, labels, words) + found


def _search_form(asked: Asked, labels: Labels, words: Words) -> str:
    chosen = {"product": asked.product, "version": asked.version, "lang": asked.doc_lang}
    selects = "".join(
        _select(name, labels.values.get(name, ()), chosen[name], words) for name in chosen if labels.values.get(name)
    )
    label = text(words("admin.question"))
    many = f'<label>{text(words("admin.top_k"))} <input type="number" name="top_k" min="1" max="50" '
    return (
        f'<form data-form="search" class="dd-find"><input type="search" name="q" value="{text(asked.q)}" '
        f'aria-label="{label}" placeholder="{label}" maxlength="2000">{selects}{many}value="{asked.top_k}"></label>'
        f'<button type="submit" class="dd-do dd-primary">{text(words("admin.try"))}</button></form>'
    )


def _select(name: str, values: Iterable[str], chosen: str, words: Words) -> str:
    called = {value: words.language(value) if name == "lang" else value for value in values}
    options = _option("", words(f"filter.{name}.all"), not chosen)
    options += "".join(_option(value, shown, value == chosen) for value, shown in called.items())
    field = "doc_lang" if name == "lang" else name
    return f'<select name="{field}" aria-label="{text(words(f"filter.{name}"))}">{options}</select>'


def _option(value: str, label: str, chosen: bool) -> str:
    return f'<option value="{text(value)}"{" selected" if chosen else ""}>{text(label)}</option>'


def _found(body: Body, words: Words) -> str:
    told = body["explain"]
    verdict = "answerable" if told["answerable"] else "refused"
    score = words("admin.score", percent=f"{100 * told['score']:.0f}", limit=f"{100 * told['threshold']:.0f}")
    times = [(words(f"admin.time.{name}"), f"{value:.1f} ms") for name, value in told["timings_ms"].items()]
    tone = "good" if told["answerable"] else "note"
    state = badge(tone, words(f"admin.{verdict}"))
    box = (
        f'<section class="dd-box dd-verdict" role="status"><h3>{state} {text(score)}</h3>'
        f"<p>{text(told['reason'])}</p>{facts(times)}</section>"
    )
    heads = [words(f"admin.{name}") for name in ("rank", "passage", "by_words", "by_meaning", "together", "reranked")]
    if not told["reranker"]:
        heads.pop()
    rows = [_passage(passage, bool(told["reranker"]), words) for passage in body["data"]]
    return box + (table(heads, rows, words("admin.passages")) if rows else empty(words("admin.nothing")))


def _passage(passage: Body, reranked: bool, words: Words) -> tuple[Safe | str | int, ...]:
    why = passage["why"]
    where = " › ".join(dict.fromkeys([passage["title"], *passage["heading_path"]]))
    terms = " ".join(badge("plain", term) for term in why["terms"])
    what = (
        f'<details data-key="passage-{passage["rank"]}"><summary dir="auto">{text(where)}</summary>'
        f'<div class="dd-text" dir="auto">{lines(passage["text"])}</div></details>'
        f'<div class="dd-dim"><a href="#admin/chunks/{text(passage["page_id"])}">{text(passage["url"])}</a></div>'
        f'<div class="dd-terms">{terms}</div>'
    )
    cells = [
        passage["rank"],
        Safe(what),
        _ranked(why["bm25_rank"], f"{why['bm25_score']:.1f}"),
        _ranked(why["dense_rank"], f"{why['dense_score']:.2f}"),
        _ranked(why["fused_rank"], f"{why['fused_score']:.4f}"),
    ]
    return (*cells, f"{why['rerank_score']:.3f}") if reranked and why["rerank_score"] is not None else tuple(cells)


def _ranked(rank: int | None, score: str) -> Safe:
    return Safe(f"<strong>#{rank}</strong> <span class=dd-dim>{score}</span>" if rank else "–")

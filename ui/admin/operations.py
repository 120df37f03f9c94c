"""Sources, indexes, engines and voices as HTML. Pure; bodies are what /v1/admin answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ui.admin.markup import Safe, badge, button, empty, facts, head, lines, said, seconds, size, table, text, when
from ui.i18n import Words

Body = Mapping[str, Any]
GOOD = ("ready", "external")


def sources(body: Body, words: Words) -> str:
    """Each source, the sync under way, and what came of the last one."""
    sync = body["sync"]
    last = sync.get("last") or {}
    problems = {entry["source"]: entry for entry in last.get("sources", ())}
    running = sync["state"] == "running" or bool(sync.get("progress"))
    act = button(words("admin.sync"), "sync", kind="dd-primary")
    top = head(words("admin.sources"), _schedule(sync, words), act)
    heads = [words(f"admin.{name}") for name in ("source", "pages", "changed", "synced", "problems")]
    rows = [
        (
            Safe(f"<code>{text(one['source'])}</code>"),
            one["pages"],
            when(one["changed_at"], words),
            when(one["synced_at"], words),
            Safe(_problem(problems.get(one["source"]), words) or "–"),
        )
        for one in body["data"]
    ]
    listed = table(heads, rows, words("admin.sources")) if rows else empty(words("admin.no_sources"))
    return top + (_progress(sync.get("progress"), words) if running else "") + listed + _last(last, words)


def _schedule(sync: Body, words: Words) -> str:
    if not sync["every_s"]:
        return words("admin.unscheduled")
    return words("admin.scheduled", every=_span(sync["every_s"], words))


def _span(value: float, words: Words) -> str:
    name, unit = next(((n, s) for n, s in (("days", 86400), ("hours", 3600)) if value >= s), ("minutes", 60))
    return words(f"admin.span.{name}", count=f"{value / unit:g}")


def _problem(entry: Body | None, words: Words) -> str:
    if not entry:
        return ""
    if entry["error"]:
        return badge("bad", words("admin.failed"))
    return badge("note", words("admin.warned", count=entry["warned"])) if entry["warned"] else ""


def _progress(progress: Body | None, words: Words) -> str:
    """A bar with what is being done."""
    told = progress or {"stage": "start", "done": 0, "total": 0, "source": "", "item": ""}
    stage = words(f"admin.stage.{told['stage']}")
    share = f' value="{int(told["done"])}" max="{int(told["total"])}"' if told["total"] else ""
    counts = f"{told['done']:,} / {told['total']:,}" if told["total"] else ""
    what = " · ".join(filter(None, [told["source"], told["item"]]))
    return (
        f'<div class="dd-progress" role="status"><div><strong>{text(stage)}</strong><span>{counts}</span></div>'
        f'<progress aria-label="{text(stage)}"{share}></progress>'
        f'<p dir="auto">{text(what)}</p></div>'
    )


def _last(last: Body, words: Words) -> str:
    """What came of the last sync: it stays until the next one."""
    if not last:
        return ""
    state = badge("bad", words("admin.failed")) if last["error"] else badge("good", words("admin.done"))
    counts = ((words(f"admin.count.{name}"), last[name]) for name in ("added", "changed", "removed", "unchanged"))
    began = when(last["started_at"], words)
    told = facts([(words("admin.began"), began), (words("admin.took"), seconds(last["seconds"])), *counts])
    error = f'<pre class="dd-said">{lines(last["error"])}</pre>' if last["error"] else ""
    each = "".join(_source_result(entry, words) for entry in last.get("sources", ()))
    return f'<section class="dd-box"><h3>{text(words("admin.last_sync"))} {state}</h3>{told}{error}{each}</section>'


def _source_result(entry: Body, words: Words) -> str:
    problems = [entry["error"]] if entry["error"] else entry["warnings"]
    if not problems:
        return ""
    items = "".join(f'<li dir="auto">{text(line)}</li>' for line in problems)
    more = entry["warned"] - len(entry["warnings"])
    rest = f"<li>{text(words('admin.more', count=more))}</li>" if more > 0 and not entry["error"] else ""
    name = words("admin.failed") if entry["error"] else words("admin.warned", count=entry["warned"])
    return (
        f'<details data-key="result-{text(entry["source"])}"><summary>{text(entry["source"])}: {text(name)}</summary>'
        f"<ul>{items}{rest}</ul></details>"
    )


def indexes(body: Body, words: Words) -> str:
    """The kept generations, the newest first; any but the live one can be gone back to."""
    heads = [words(f"admin.{name}") for name in ("built", "pages", "chunks", "embedder", "size", "state")]
    rows = [
        (
            Safe(f"{when(one['created_at'], words).html}<br><code class=dd-dim>{text(one['id'])}</code>"),
            one["pages"],
            one["chunks"],
            one["embedder"],
            size(one["bytes"]),
            Safe(badge("good", words("admin.live")) if one["live"] else _back(one, words)),
        )
        for one in reversed(body["data"])
    ]
    top = head(words("admin.indexes"), words("admin.indexes_about"))
    return top + (table(heads, rows, words("admin.indexes")) if rows else empty(words("admin.no_indexes")))


def _back(one: Body, words: Words) -> str:
    ask = words("admin.roll_back_ask", pages=f"{one['pages']:,}", chunks=f"{one['chunks']:,}", id=one["id"])
    return button(words("admin.roll_back"), "rollback", one["id"], ask)


def engines(body: Body, voices: Body, words: Words) -> str:
    """Engines, what the voices answer with, and the checkpoint."""
    top = head(words("admin.engines"), words("admin.engines_about"))
    listed = "".join(_engine(one, words) for one in body["data"]) or empty(words("admin.no_engines"))
    heads = [words(f"admin.{name}") for name in ("voice", "state", "engine", "why")]
    rows = [
        (
            words.voice(one["name"]),
            Safe(_voice_state(one, words)),
            Safe(f"<code>{text(one['engine'])}</code>" if one["engine"] else "–"),
            Safe(_why(one, words)),
        )
        for one in voices["data"]
    ]
    speak = f"<h3>{text(words('admin.voices'))}</h3>" + table(heads, rows, words("admin.voices"))
    return f'{top}<div class="dd-cards">{listed}</div>{speak}{_checkpoint(voices["checkpoint"], words)}'


def _engine(one: Body, words: Words) -> str:
    kind = "good" if one["state"] in GOOD else "bad" if one["state"] in ("failed", "unreachable") else "note"
    state = badge(kind, words(f"admin.engine.{one['state']}"))
    ask = words("admin.restart_ask", name=one["name"], count=one["active"])
    act = button(words("admin.restart"), "restart", one["name"], ask) if one["ours"] else ""
    trouble = f"<p><strong>{text(words('admin.trouble'))}</strong> {when(one['trouble_at'], words).html}</p>"
    last = f'{trouble}<pre class="dd-said">{lines(one["trouble"])}</pre>' if one["trouble"] else ""
    problem = f'<p class="dd-bad">{text(one["problem"])}</p>' if one["problem"] else ""
    told = facts(
        [
            (words("admin.model"), one["model"]),
            (words("admin.where"), words("admin.ours") if one["ours"] else one["detail"]),
            (words("admin.restarts"), one["restarts"] if one["ours"] else ""),
            (words("admin.active"), one["active"]),
        ]
    )
    return (
        f'<section class="dd-box"><header><h3>{text(one["name"])} {state}</h3>{act}</header>'
        f"{told}{problem}{last}</section>"
    )


def _voice_state(one: Body, words: Words) -> str:
    kind = {"ready": "good", "quoting": "note", "down": "bad"}.get(one["state"], "plain")
    return badge(kind, words(f"admin.voice.{one['state']}"))


def _why(one: Body, words: Words) -> str:
    if not one["reason"]:
        return ""
    detail = f'<div class="dd-dim">{text(one["detail"])}</div>' if one["reason"] in _TOLD else ""
    return said(words(f"admin.why.{one['reason']}")) + detail


_TOLD = ("engine_down", "checkpoint_failed")
"""Reasons whose detail says more than the word."""


def _checkpoint(one: Body | None, words: Words) -> str:
    if not one:
        return ""
    pages = one["pages"]
    stale = words("admin.drift", **pages) if pages else words("admin.drift_unknown")
    told = facts(
        [
            (words("admin.name"), one["name"]),
            (words("admin.base_model"), one["base_model"]),
            (words("admin.kind"), words(f"admin.kind.{one['kind']}")),
            (words("admin.step"), one["step"]),
            (words("admin.made"), when(one["created_at"], words)),
            (words("admin.dataset"), one["dataset"]),
            (words("admin.dataset_hash"), one["dataset_sha256"][:16]),
            (words("admin.stale"), stale),
        ]
    )
    problem = f'<p class="dd-bad">{text(one["problem"])}</p>' if one["problem"] else ""
    return f'<section class="dd-box"><h3>{text(words("admin.checkpoint"))}</h3>{told}{problem}</section>'

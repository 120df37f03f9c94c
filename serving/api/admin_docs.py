"""The admin routes about what the docs hold: gaps, the answers behind them, pages and how they were cut.

For principals of the role admin, as admin.py's.
"""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from rag.chunk import estimate_tokens
from serving.api import admin_docs_schemas as out
from serving.api.admin import ERRORS, admin_only
from serving.api.stored import text_alone
from serving.errors import ApiError
from serving.gateway import gateway_of
from serving.ops.gaps import KINDS, Gap, trouble
from serving.store import conversations
from serving.store.conversations import Turn
from serving.store.snapshot import answer_of, clean
from serving.store.tables import Answer

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(admin_only)], responses=ERRORS)
COLUMNS = ("topic", "words", "questions", "share", *KINDS, "last_asked", "examples")


@router.get("/gaps", response_model=out.GapsOut)
async def gaps(
    request: Request,
    days: Annotated[float, Query(gt=0, le=3650, description="How far to look back.")] = 30,
    limit: Annotated[int, Query(ge=1, le=500, description="Groups, at most.")] = 50,
    format: Annotated[Literal["json", "csv"], Query(description="A file for a spreadsheet, or JSON.")] = "json",
) -> Any:
    """What the docs do not answer: questions that were refused, disliked or answered without support, by topic."""
    found = await gateway_of(request).gaps.find(days)
    if format == "csv":
        disposition = {"Content-Disposition": f'attachment; filename="docduet-gaps-{days:g}-days.csv"'}
        return Response(as_csv(found.gaps[:limit]), media_type="text/csv; charset=utf-8", headers=disposition)
    groups = [asdict(gap) for gap in found.gaps[:limit]]
    whole = {"days": days, "asked": found.asked, "troubled": found.troubled, "more": found.more}
    return {**whole, "groups": len(found.gaps), "data": groups}


@router.get("/answers/{answer_id}", response_model=out.TroubledOut)
async def troubled(answer_id: str, request: Request) -> dict[str, Any]:
    """An answer behind a gap, without who asked. Answers that nothing is wrong with are nobody else's business."""

    def read(db: Any) -> tuple[Turn, tuple[str, ...]] | None:
        answer = db.get(Answer, clean(answer_id))
        kinds = trouble(db, answer.id) if answer else ()
        return (conversations.turn(db, answer.owner, answer.id), kinds) if answer and kinds else None

    found = await gateway_of(request).store.run(read, writes=False)
    if found is None:
        message = f"there is no answer {answer_id!r} among the gaps"
        raise ApiError(message, 404, "answer_not_found", "answer_id")
    return _answer(*found)


@router.get("/pages", response_model=out.PagesOut)
async def pages(
    request: Request,
    q: Annotated[str, Query(max_length=200, description="Words of the title or the url.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> dict[str, Any]:
    """The pages of the live index, by url."""
    retriever = await asyncio.to_thread(gateway_of(request).live.retriever)
    found, total = await asyncio.to_thread(retriever.pages, q, limit, offset)
    data = [asdict(row) for row in found]
    return {"data": data, "total": total, "offset": offset, "generation": retriever.info.id}


@router.get("/pages/{page_id}/chunks", response_model=out.ChunksOut)
async def chunks(page_id: str, request: Request) -> dict[str, Any]:
    """A page's text, and its chunks as they are indexed."""
    retriever = await asyncio.to_thread(gateway_of(request).live.retriever)
    page = await asyncio.to_thread(retriever.page, page_id)
    if page is None:
        raise ApiError("no such page in the current index: it may have been removed", 404, "page_not_found", "page_id")
    rows = await asyncio.to_thread(retriever.chunks, page_id)
    data = [asdict(row) | {"tokens": estimate_tokens(f"{row.context}\n{row.text}")} for row in rows]
    about = {"page_id": page_id, "url": page.url, "title": page.title, "lang": page.lang, "body": page.body}
    return {**about, "generation": retriever.info.id, "embedder": retriever.info.embedder, "data": data}


def as_csv(gaps: tuple[Gap, ...]) -> str:
    """A table for spreadsheets: with a byte order mark, and no cell that one would take for a formula."""
    sink = io.StringIO()
    sink.write("\ufeff")
    writer = csv.writer(sink)
    writer.writerow(COLUMNS)
    for gap in gaps:
        day = datetime.fromtimestamp(gap.last_at, UTC).strftime("%Y-%m-%d %H:%M")
        examples = " | ".join(sample.question for sample in gap.samples)
        counts = [gap.kinds[kind] for kind in KINDS]
        cells = [gap.question, " ".join(gap.words), gap.count, gap.share, *counts, day, examples]
        writer.writerow([_plain(cell) if isinstance(cell, str) else cell for cell in cells])
    return sink.getvalue()


def _plain(cell: str) -> str:
    line = " ".join(cell.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _answer(turn: Turn, kinds: tuple[str, ...]) -> dict[str, Any]:
    thumbs = {rating.choice: rating for rating in turn.ratings}
    choices = []
    for choice in turn.choices:
        thumb, sentences = thumbs.get(choice.index), choice.checks.get("support") or []
        if turn.hidden:  # only learned answers are looked up, only some voices refuse
            sentences = []
        choices.append(
            {
                "arm": "" if turn.hidden else choice.arm,
                "text": text_alone(answer_of(choice)) if turn.hidden else choice.text,
                "refused": choice.refused and not turn.hidden,
                "sources": [] if turn.hidden else [source["title"] for source in choice.sources],
                "supported": sum(bool(one["page_id"]) for one in sentences),
                "sentences": len(sentences),
                "rating": thumb.rating if thumb else "",
                "reasons": thumb.reasons if thumb else [],
                "comment": thumb.comment if thumb else "",
                "should_have_said": thumb.should_have_said if thumb else "",
            }
        )
    answer, vote = turn.answer, turn.vote
    said = {"winner": vote.winner if vote else "", "comment": vote.comment if vote else ""}
    about = {"id": answer.id, "question": answer.question, "asked_at": answer.asked_at, "model": answer.model}
    return {**about, "kinds": list(kinds), "vote": said, "choices": choices}

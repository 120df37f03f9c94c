"""GET /v1/report: what votes, thumbs, answers and evaluation runs prove; as JSON, CSV, HTML or a picture."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from data.errors import ConfigError
from evals.report.inputs import Filters, Inputs
from evals.report.since import since
from evals.runs import read_runs
from serving.errors import ApiError
from serving.gateway import Gateway, gateway_of
from serving.report.rows import read
from serving.store.snapshot import clean

router = APIRouter(prefix="/v1", tags=["judgements"])

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; form-action 'none'"


class Wanted(BaseModel):
    """The query. ``lang``: of the questions; ``words``: of the report itself. ``arms``: names with commas between."""

    format: Literal["json", "csv", "html", "fragment", "png"] = "json"
    since: str = Field("", max_length=40)
    lang: str = Field("", max_length=20)
    product: str = Field("", max_length=200)
    arms: str = Field("", max_length=200)
    min_votes: int = Field(1, ge=1, le=1_000_000)
    words: Literal["en", "zh"] = "en"
    chart: Literal["win-rates", "voices"] = "win-rates"

    def filters(self) -> Filters:
        """ApiError 400 for a time that is none."""
        try:
            start = since(self.since)
        except ConfigError as error:
            raise ApiError(str(error), 400, "invalid_request", "since") from None
        arms = tuple(arm for part in self.arms.split(",") if (arm := part.strip()))
        return Filters(start, clean(self.lang), clean(self.product), arms, self.min_votes)


@router.get("/report", response_model=None)
async def report(request: Request, wanted: Annotated[Wanted, Query()]) -> Response:
    """Everybody's answers, thumbs and votes, by arm and by pair of arms, with what they prove. No words, no names."""
    gateway = gateway_of(request)
    filters = wanted.filters()
    await gateway.recorder.written()
    inputs = await gateway.store.run(read, filters, writes=False)
    return await asyncio.to_thread(_answer, gateway, inputs, wanted)


def _answer(gateway: Gateway, inputs: Inputs, wanted: Wanted) -> Response:
    from evals.report import chart, html, table
    from evals.report.build import build

    made = build(inputs, *read_runs(gateway.live.home.evals))
    match wanted.format:
        case "csv":
            return _file(table.as_csv(made), "text/csv; charset=utf-8", "docduet-report.csv")
        case "html":
            page = _file(html.page(made, wanted.words), "text/html; charset=utf-8", "docduet-report.html")
            page.headers["Content-Security-Policy"] = POLICY
            return page
        case "fragment":
            return Response(html.fragment(made, wanted.words), media_type="text/plain; charset=utf-8")
        case "png":
            return _file(chart.png(made, wanted.chart, wanted.words), "image/png", f"docduet-{wanted.chart}.png")
    return JSONResponse({"object": "report"} | made.as_dict() | {"answers": _answers(inputs)})


def _answers(inputs: Inputs) -> dict[str, Any]:
    """Bare counts by arm."""
    names = ("answers", "refused", "degraded", "failed", "up", "down")
    return {tally.arm: {name: getattr(tally, name) for name in names} for tally in sorted(inputs.tallies)}


def _file(content: str | bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=kind, headers=headers)

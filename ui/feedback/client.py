"""What a click on the page means, and the gateway's routes for it.

Each function returns the opinion as it is afterwards. What the gateway refuses raises GatewayError.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError

from ui.client import Gateway
from ui.feedback.opinion import NONE, Opinion, Rating, opinion_of


class Act(BaseModel):
    """What the browser sends: a button of one reply, and what is in the form."""

    key: str = Field(max_length=100)
    choice: int = Field(ge=0, le=100)
    do: Literal["up", "down", "edit", "cancel", "send", "take_back", "promote"]
    reasons: tuple[str, ...] = Field((), max_length=20)
    comment: str = Field("", max_length=10_000)
    should_have_said: str = Field("", max_length=50_000)
    pages: tuple[str, ...] | None = Field(None, max_length=50)


def act_in(data: Any) -> Act | None:
    """What the browser sent, None where that is nothing of ours."""
    try:
        return Act.model_validate(data)
    except ValidationError:
        return None


def typed(act: Act, now: Opinion) -> Opinion:
    """The opinion that stands in the form, not sent yet."""
    said = act.should_have_said.strip()
    return replace(
        now,
        reasons=act.reasons if now.rating == "down" else (),
        comment=act.comment.strip(),
        should_have_said=said,
        pages=act.pages if said else None,
        failure="",
    )


async def done(gateway: Gateway, answer_id: str, act: Act, now: Opinion) -> Opinion:
    """What the act makes of the opinion ``now``."""
    match act.do:
        case "up" | "down":
            return await _pressed(gateway, answer_id, act.choice, act.do, now)
        case "edit" | "cancel":
            return replace(now, open=act.do == "edit", failure="")
        case "send":
            return await _sent(gateway, answer_id, act.choice, typed(act, now))
        case "promote":
            body = await gateway.request_json("POST", f"{_path(answer_id)}/promote", {"choice": act.choice})
            return replace(now, review=body["review"], use=body["use"], failure="")
        case "take_back":
            return await _taken_back(gateway, answer_id, act.choice)


async def _pressed(gateway: Gateway, answer_id: str, choice: int, thumb: Rating, now: Opinion) -> Opinion:
    """A thumb; pressed again it is taken back, or shows what would be lost with it."""
    if thumb == now.rating:
        if now.wordy:
            return replace(now, open=True, failure="")
        return await _taken_back(gateway, answer_id, choice)
    rated = replace(now, rating=thumb, reasons=now.reasons if thumb == "down" else ())
    return replace(await _sent(gateway, answer_id, choice, rated), open=thumb == "down")


async def _sent(gateway: Gateway, answer_id: str, choice: int, opinion: Opinion) -> Opinion:
    body = {
        "answer_id": answer_id,
        "choice": choice,
        "rating": opinion.rating or "down",
        "reasons": list(opinion.reasons),
        "comment": opinion.comment,
        "should_have_said": opinion.should_have_said,
        "pages": None if opinion.pages is None else list(opinion.pages),
    }
    return opinion_of(await gateway.request_json("POST", "/v1/feedback", body))


async def _taken_back(gateway: Gateway, answer_id: str, choice: int) -> Opinion:
    await gateway.request_json("DELETE", f"{_path(answer_id)}?choice={choice}")
    return NONE


def _path(answer_id: str) -> str:
    return f"/v1/feedback/{quote(answer_id, safe='')}"

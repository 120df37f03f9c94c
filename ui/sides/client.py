"""Votes over HTTP: what is sent to ``POST /v1/votes``, and what a vote or a stored turn says in return.

The gateway keeps one text beside a vote. Quick reasons stand at its beginning as words that no language changes,
``#accurate #clear the port is right on the left``, so that they can be counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ui.client import Gateway
from ui.events import finished
from ui.turns import Reply, Turn, Vote, after, with_local_links

GOOD = ("accurate", "complete", "clear", "concise", "sources")
BAD = ("wrong", "incomplete", "unclear", "off-topic")
REASONS = (*GOOD, *BAD)
LONGEST = 2000  # characters of a comment


async def cast(gateway: Gateway, turn: Turn, vote: Vote) -> Turn:
    """``turn`` with its vote, counted by the gateway; of a blind one both replies as they were, named and sourced.

    Raises GatewayError.
    """
    body = {"answer_id": turn.answer_id, "winner": vote.winner, "comment": comment_of(vote)}
    answer = await gateway.request_json("POST", "/v1/votes", body)
    told = tuple(reply_of(choice, gateway.url) for choice in answer.get("choices") or ()) if turn.secret else ()
    return replace(turn, replies=told or turn.replies, vote=vote_of(answer) or vote, revision=turn.revision + 1)


def comment_of(vote: Vote) -> str:
    """The text that is kept beside a vote."""
    return " ".join([*(f"#{reason}" for reason in vote.reasons), vote.comment]).strip()


def vote_of(body: Mapping[str, Any] | None) -> Vote | None:
    """The vote in an answer of ``/v1/votes``, or in a stored turn's ``vote``; None where there is none."""
    winner = (body or {}).get("winner")
    if not body or winner not in ("0", "1", "tie", "both_bad"):
        return None
    reasons, comment = split(str(body.get("comment") or ""))
    return Vote(winner, reasons, comment)


def split(comment: str) -> tuple[tuple[str, ...], str]:
    """(quick reasons, one's own words) of the text beside a vote; a word that is no reason of ours ends the reasons."""
    reasons: list[str] = []
    words = comment.split(" ")
    while words and words[0][:1] == "#" and words[0][1:] in REASONS:
        reasons.append(words.pop(0)[1:])
    return tuple(reasons), " ".join(words)


def reply_of(choice: Mapping[str, Any], gateway_url: str = "") -> Reply:
    """A choice as a whole chat completion, a vote or a stored turn has it."""
    message, extra = choice.get("message") or {}, choice.get("docduet") or {}
    done = finished(extra, choice.get("finish_reason") or "stop", 0)
    said = Reply("writing", str(message.get("content") or ""), str(message.get("reasoning") or ""))
    return after(Turn("", "", replies=(said,)), with_local_links(done, gateway_url)).reply


def chosen(data: Mapping[str, Any]) -> Vote | None:
    """What a browser asks to vote, read with distrust; None where it is no vote."""
    winner, given, comment = data.get("winner"), data.get("reasons"), data.get("comment")
    if winner not in ("0", "1", "tie", "both_bad"):
        return None
    reasons = _known(given if isinstance(given, Sequence) else (), BAD if winner == "both_bad" else GOOD)
    return Vote(winner, reasons, comment.strip()[:LONGEST] if isinstance(comment, str) else "")


def _known(given: Sequence[Any], reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(reason for reason in reasons if reason in given)

"""Which two arms `compare` sets side by side, and in which order a blind vote sees them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from serving.arms.turn import Arm
from serving.errors import ApiError

COMPARE = "compare"
USUAL = ("rag", "sft")


def pair(arms: Mapping[str, Arm], asked: Sequence[str], blind: bool) -> tuple[Arm, ...]:
    """The two arms, in the order of their choices: as asked, or by chance. ApiError names what is wrong or missing."""
    names = list(asked or USUAL)
    if len(names) != 2 or len(set(names)) != 2:
        message = f"docduet.arms must name two different voices, such as {list(USUAL)}, not {names}"
        raise ApiError(message, 400, "invalid_request", "docduet.arms")
    missing = [name for name in names if name not in arms]
    if missing:
        raise _missing(missing, arms, bool(asked))
    if blind:
        secrets.SystemRandom().shuffle(names)
    return tuple(arms[name] for name in names)


def _missing(missing: Sequence[str], arms: Mapping[str, Arm], asked: bool) -> ApiError:
    why = f"compare needs {' and '.join(missing)}, which this gateway does not have"
    advice = "; train one with `docduet sft`" if "sft" in missing else ""
    others = f", or name two of {', '.join(arms)} in docduet.arms" if len(arms) > 1 else ""
    return ApiError(f"{why}{advice}{others}", 404, "model_not_found", "docduet.arms" if asked else "model")


def check_pairing(model: str, asked: Sequence[str], blind: bool) -> None:
    """ApiError where ``arms`` or ``blind`` come with a model that answers alone."""
    for name, given in (("arms", bool(asked)), ("blind", blind)):
        if given and model != COMPARE:
            message = f"docduet.{name} goes with the model {COMPARE!r} only, not with {model!r}"
            raise ApiError(message, 400, "invalid_request", f"docduet.{name}")

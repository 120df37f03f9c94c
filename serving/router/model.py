"""The fitted router as it is kept: DOCDUET_HOME/router.json, coefficients in plain JSON (never a pickle).

For each voice the probability that it answers a question well:

    p = 1 / (1 + exp(-(intercept + sum of weight * feature)))        features: features.py, weights calibrated by fit.py

`docduet route fit` writes the file; the gateway reads it again when it changes (router.py).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.errors import ConfigError
from serving.router.features import Features, check_names

FORMAT = 1

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Voice(BaseModel):
    """One voice's coefficients, for features as they are (not standardised)."""

    model_config = ConfigDict(frozen=True)
    intercept: Finite
    weights: Mapping[str, Finite]

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        return check_names(weights)

    def score(self, features: Features) -> float:
        logit = self.intercept + sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


class RouterModel(BaseModel):
    """``margin``: two voices whose scores are closer than this both answer; ``refuse_below``: where no score reaches
    this, the question is refused. ``target_risk``: share of wrong answers that ``refuse_below`` was calibrated to.

    ``labels``: questions it was fitted on; ``metrics``: how it did on others. ``simulated``: its labels were made up.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    format: int = FORMAT
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    simulated: bool = False
    voices: Mapping[str, Voice] = Field(min_length=1)
    margin: float = Field(ge=0, le=1)
    refuse_below: float = Field(ge=0, le=1)
    target_risk: float = Field(ge=0, le=1)
    labels: int = 0
    metrics: Mapping[str, Finite] = Field(default_factory=dict)

    @field_validator("voices")
    @classmethod
    def _reads(cls, voices: Mapping[str, Voice]) -> Mapping[str, Voice]:
        if "rag" not in voices:
            raise ValueError("the voice that is always there, rag, is missing")
        return voices

    def scores(self, features: Features, arms: Iterable[str]) -> dict[str, float]:
        """Probability of a good answer, for those of ``arms`` that the model knows."""
        return {arm: round(self.voices[arm].score(features), 4) for arm in arms if arm in self.voices}


def read_model(path: Path) -> RouterModel:
    """Raises FileNotFoundError where there is none, ConfigError where it cannot be used."""
    try:
        text = path.read_bytes()
        model = RouterModel.model_validate_json(text)
    except FileNotFoundError:
        raise
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} cannot be used ({_first(error)}): run `docduet route fit`, or remove it") from None
    if model.format > FORMAT:
        raise ConfigError(f"{path} was made by a later version of DocDuet: update, or run `docduet route fit`")
    return model


def write_model(path: Path, model: RouterModel) -> None:
    """Replace ``path`` at once: a gateway that reads meanwhile gets the old file or the new one. Raises ConfigError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    text = json.dumps(model.model_dump(mode="json"), indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as sink:
            sink.write(text + "\n")
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
    return str(error)

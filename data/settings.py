"""docduet.toml and DOCDUET__TABLE__KEY variables, read into each package's own pydantic model.

Order, later wins: the model's defaults, the profile (data/profiles/NAME.toml), docduet.toml, the environment.
The front door knows which tables exist; a package asks for its own with ``settings.table(RagConfig)``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from data.errors import ConfigError
from data.home import Home

CONFIG_NAME = "docduet.toml"
ENV_PREFIX = "DOCDUET"
PROFILES = Path(__file__).with_name("profiles")
PROFILE_NAMES = ("laptop", "single-gpu", "cluster")

M = TypeVar("M", bound=BaseModel)


class Table(BaseModel):
    """Base of every package's config model: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings:
    """All tables of docduet.toml, read and checked on first use.

    ``path``: the file to read; None reads ./docduet.toml or DOCDUET_HOME/docduet.toml where one exists.
    ``tables``: table name -> model. Raises ConfigError on first use when anything is wrong.
    """

    def __init__(
        self, tables: Mapping[str, type[BaseModel]], path: Path | None = None, profile: str = "laptop"
    ) -> None:
        self.home = Home.from_env()
        self._models = dict(tables)
        self._path = path
        self.profile = profile
        self._loaded: BaseSettings | None = None

    def table(self, model: type[M]) -> M:
        """The validated table that ``model`` describes."""
        name = next(name for name, registered in self._models.items() if registered is model)
        if self._loaded is None:
            self._loaded = self._load()
        table: M = getattr(self._loaded, name)
        return table

    def tables(self) -> dict[str, BaseModel]:
        """All tables, by name."""
        return {name: self.table(model) for name, model in self._models.items()}

    def again(self) -> Settings:
        """The same files, to be read anew."""
        return Settings(self._models, self._path, self.profile)

    def files(self) -> list[Path]:
        """The TOML files that are read, in order; later ones win."""
        if self.profile not in PROFILE_NAMES:
            raise ConfigError(f"unknown profile {self.profile!r}: choose one of {', '.join(PROFILE_NAMES)}")
        if self._path and not self._path.is_file():
            raise ConfigError(f"{self._path}: no such file")
        candidates = [self._path] if self._path else [Path(CONFIG_NAME), self.home.root / CONFIG_NAME]
        own = next((path for path in candidates if path.is_file()), None)
        return [PROFILES / f"{self.profile}.toml", *([own] if own else [])]

    def _load(self) -> BaseSettings:
        files = self.files()
        for path in files:
            self._check_syntax(path)

        class Root(BaseSettings):
            model_config = SettingsConfigDict(env_prefix=f"{ENV_PREFIX}__", env_nested_delimiter="__", extra="forbid")

            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                return env_settings, TomlConfigSettingsSource(settings_cls, files, deep_merge=True)

        self._check_environment()
        fields: dict[str, Any] = {name: (model, model()) for name, model in self._models.items()}
        try:
            return create_model("DocDuetSettings", __base__=Root, **fields)()
        except ValidationError as error:
            own = files[-1].name
            raise ConfigError(
                "; ".join(f"{self._origin(e, own)}: {self._explain(e)}" for e in error.errors())
            ) from None
        except SettingsError as error:
            raise ConfigError(
                f"the environment: {error} ({error.__cause__}); lists and tables are given as JSON"
            ) from None

    def _check_environment(self) -> None:
        """An unknown DOCDUET__TABLE__KEY is an error that names the nearest known one."""
        known = [_variable(table, key) for table, model in self._models.items() for key in model.model_fields]
        tables = [_variable(table) for table in self._models]
        for name in sorted(os.environ):
            parts = name.upper().split("__")
            if parts[0] != ENV_PREFIX or "__".join(parts[:3]) in known or name.upper() in tables:
                continue
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"tables: {', '.join(sorted(self._models))}"
            raise ConfigError(f"the environment: unknown setting {name}; {hint}")

    @staticmethod
    def _origin(error: Mapping[str, Any], file: str) -> str:
        """Where a wrong value comes from: the environment wins over files, so it is asked first."""
        loc = [str(part) for part in error["loc"]]
        given = {name.upper() for name in os.environ}
        if any(_variable(*loc[:length]) in given for length in range(1, len(loc) + 1)):
            return "the environment"
        return file

    @staticmethod
    def _check_syntax(path: Path) -> None:
        try:
            tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from None

    def _explain(self, error: Mapping[str, Any]) -> str:
        """One line for a validation error; an unknown key names the nearest known one."""
        loc = [str(part) for part in error["loc"]]
        if error["type"] != "extra_forbidden":
            got = error.get("input")
            shown = "" if isinstance(got, (Mapping, list, tuple)) else f" (got {got!r})"  # a table may hold secrets
            return f"{'.'.join(loc)}: {error['msg'].removeprefix('Value error, ')}{shown}"
        known = self._known_keys(loc[:-1])
        near = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        kind = "key" if len(loc) > 1 else "table"
        return f"unknown {kind} {'.'.join(loc)!r}; {hint}"

    def _known_keys(self, path: list[str]) -> list[str]:
        if not path:
            return list(self._models)
        model: Any = self._models.get(path[0])
        for part in path[1:]:
            if part.isdigit() or model is None:
                continue
            model = _inner_model(model.model_fields[part].annotation) if part in model.model_fields else None
        return list(model.model_fields) if model else []


def _variable(*path: str) -> str:
    """``serving, port`` -> DOCDUET__SERVING__PORT."""
    return "__".join([ENV_PREFIX, *path]).upper()


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The BaseModel inside ``Model``, ``list[Model]``, ``dict[str, Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner_model(inner)
        if found:
            return found
    return None

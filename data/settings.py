"""docduet.toml and DOCDUET__TABLE__KEY variables, read into each package's own pydantic model.

Order, later wins: the model's defaults, the profile (data/profiles/NAME.toml), docduet.toml, the environment.
The front door knows which tables exist; a package asks for its own with ``settings.table(RagConfig)``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from data.errors import ConfigError
from data.home import Home

CONFIG_NAME = "docduet.toml"
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
        self._profile = profile
        self._loaded: BaseSettings | None = None

    def table(self, model: type[M]) -> M:
        """The validated table that ``model`` describes."""
        name = next(name for name, registered in self._models.items() if registered is model)
        if self._loaded is None:
            self._loaded = self._load()
        table: M = getattr(self._loaded, name)
        return table

    def files(self) -> list[Path]:
        """The TOML files that are read, in order; later ones win."""
        if self._profile not in PROFILE_NAMES:
            raise ConfigError(f"unknown profile {self._profile!r}: choose one of {', '.join(PROFILE_NAMES)}")
        if self._path and not self._path.is_file():
            raise ConfigError(f"{self._path}: no such file")
        candidates = [self._path] if self._path else [Path(CONFIG_NAME), self.home.root / CONFIG_NAME]
        own = next((path for path in candidates if path.is_file()), None)
        return [PROFILES / f"{self._profile}.toml", *([own] if own else [])]

    def _load(self) -> BaseSettings:
        files = self.files()
        for path in files:
            self._check_syntax(path)

        class Root(BaseSettings):
            model_config = SettingsConfigDict(env_prefix="DOCDUET__", env_nested_delimiter="__", extra="forbid")

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

        fields: dict[str, Any] = {name: (model, model()) for name, model in self._models.items()}
        try:
            return create_model("DocDuetSettings", __base__=Root, **fields)()
        except ValidationError as error:
            where = files[-1].name if len(files) > 1 else "the environment"
            raise ConfigError(f"{where}: " + "; ".join(self._explain(e) for e in error.errors())) from None

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
            return f"{'.'.join(loc)}: {error['msg']} (got {error.get('input')!r})"
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


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The BaseModel inside ``Model``, ``list[Model]``, ``dict[str, Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _inner_model(inner)
        if found:
            return found
    return None

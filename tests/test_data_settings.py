"""docduet.toml, profiles and the environment: which wins, and what a mistake says."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from data.errors import ConfigError
from data.settings import Settings, Table
from rag.config import RagConfig
from serving.config import ServingConfig


class Part(Table):
    """An element of a list of tables."""

    name: str = "base"
    start_timeout_s: float = Field(600.0, gt=0)


class Serving(Table):
    port: int = 7860
    host: str = "127.0.0.1"
    engines: tuple[Part, ...] = ()


class Rag(Table):
    top_k: int = Field(6, gt=0)
    embedder: str = "minilm"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def settings(toml: str = "", profile: str = "laptop") -> Settings:
    if toml:
        Path("docduet.toml").write_text(toml, encoding="utf-8")
    return Settings({"serving": Serving, "rag": Rag}, profile=profile)


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "laptop.toml").write_text("")
    (folder / "cluster.toml").write_text('[rag]\ntop_k = 12\nembedder = "big"\n[serving]\nport = 80\n')
    monkeypatch.setattr("data.settings.PROFILES", folder)
    return folder


def test_defaults_without_any_file() -> None:
    assert settings().table(Serving) == Serving()


def test_the_later_wins_key_by_key(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET__SERVING__PORT", "9000")
    chosen = settings('[rag]\nembedder = "own"\n[serving]\nport = 81\n', profile="cluster")
    assert chosen.table(Rag) == Rag(top_k=12, embedder="own")  # profile below the file
    assert chosen.table(Serving).port == 9000  # environment above both


def test_file_in_the_home_is_read_when_there_is_none_here(home: Path) -> None:
    home.mkdir()
    (home / "docduet.toml").write_text("[rag]\ntop_k = 9\n")
    assert settings().table(Rag).top_k == 9
    assert settings("[rag]\ntop_k = 8\n").table(Rag).top_k == 8


@pytest.mark.parametrize(
    ("toml", "parts"),
    [
        ("[serving]\nprot = 1\n", ["docduet.toml", "serving.prot", "'port'"]),
        ("[servnig]\nport = 1\n", ["docduet.toml", "servnig", "'serving'"]),
        ("[[serving.engines]]\nstart_timeout = 5\n", ["serving.engines.0.start_timeout", "'start_timeout_s'"]),
        ("[rag]\nzzz = 1\n", ["rag.zzz", "known keys: embedder, top_k"]),
        ("[rag]\ntop_k = 0\n", ["rag.top_k", "greater than 0", "0"]),
        ("rag = 3\n", ["docduet.toml", "rag"]),
        ("[rag\n", ["docduet.toml", "not valid TOML", "line 1"]),
    ],
)
def test_a_mistake_in_the_file_names_itself(toml: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(toml).table(Rag)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_wrong_is_not_repeated_since_it_may_hold_secrets() -> None:
    engine = '[[serving.engines]]\nmodel = "m"\nbase_url = "http://x"\nenv = {HF_TOKEN = "hf_secret"}\n'
    Path("docduet.toml").write_text(engine)
    with pytest.raises(ConfigError, match="this one has both") as caught:
        Settings({"serving": ServingConfig, "rag": RagConfig}).table(ServingConfig)
    assert "hf_secret" not in str(caught.value)


def test_several_mistakes_are_all_named() -> None:
    with pytest.raises(ConfigError, match=r"serving\.prot.*rag\.top_m"):
        settings("[serving]\nprot = 1\n[rag]\ntop_m = 1\n").table(Rag)


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("DOCDUET__SERVING__PROT", "1", ["DOCDUET__SERVING__PROT", "DOCDUET__SERVING__PORT"]),
        ("DOCDUET__SERVNIG__PORT", "1", ["DOCDUET__SERVNIG__PORT", "DOCDUET__SERVING__PORT"]),
        ("DOCDUET__SERVING__PORT", "many", ["environment", "serving.port", "many"]),
    ],
)
def test_a_mistake_in_the_environment_names_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, parts: list[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        settings("[rag]\ntop_k = 3\n").table(Rag)
    for part in parts:
        assert part in str(caught.value)


def test_engines_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET__SERVING__ENGINES", '[{"name": "sft"}]')
    assert settings().table(Serving).engines == (Part(name="sft"),)


def test_malformed_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET__SERVING__ENGINES", "[{")
    with pytest.raises(ConfigError, match=r"the environment: .*serving.*JSON"):
        settings().table(Serving)


def test_unknown_profile_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown profile 'desktop'.*laptop, single-gpu"):
        settings(profile="desktop").table(Rag)
    with pytest.raises(ConfigError, match="no such file"):
        Settings({"rag": Rag}, path=tmp_path / "none.toml").table(Rag)


@pytest.mark.parametrize("profile", ["laptop", "single-gpu", "cluster"])
def test_the_shipped_profiles_fit_the_real_models(profile: str) -> None:
    from data.config import DataConfig
    from rag.config import RagConfig
    from serving.config import ServingConfig
    from ui.config import UiConfig

    tables = {"data": DataConfig, "rag": RagConfig, "serving": ServingConfig, "ui": UiConfig}
    assert Settings(tables, profile=profile).table(ServingConfig).port


def test_the_profile_can_be_left_to_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCDUET_HOME and its like are no settings."""
    monkeypatch.setenv("DOCDUET_OTHER", "x")
    assert settings().table(Rag) == Rag()

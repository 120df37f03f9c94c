"""The handbook and README say what is true: commands, options, defaults, links and error codes, against the code."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import BaseModel
from typer.core import TyperGroup, TyperOption

from data.config import DataConfig, LabelRule
from data.handbook import FOLDER
from data.prompts import REFUSAL
from data.settings import ENV_PREFIX, Settings
from docduet import app
from rag.config import RagConfig
from serving.config import EngineConfig, OidcConfig, ServingConfig
from serving.errors import as_api_error
from sft.config import SftConfig
from ui.config import UiConfig

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "zh")
PAGES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("*/*.md"))
TEXTS = [*(FOLDER / page for page in PAGES), ROOT / "README.md"]
TABLES: dict[str, type[BaseModel]] = {
    "data": DataConfig,
    "data.labels": LabelRule,
    "rag": RagConfig,
    "sft": SftConfig,
    "serving": ServingConfig,
    "serving.engines": EngineConfig,
    "serving.oidc": OidcConfig,
    "ui": UiConfig,
}

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
each_language = pytest.mark.parametrize("lang", LANGUAGES)


def tokens(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))


def code_blocks(path: Path, info: str) -> list[str]:
    """The fenced blocks of ``path`` in that language."""
    return [token.content for token in tokens(path) if token.type == "fence" and token.info == info]


def sections(path: Path) -> dict[str, list[list[str]]]:
    """Second-level heading -> the rows of the tables below it, headers left out."""
    found: dict[str, list[list[str]]] = {}
    for part in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        rows = [
            [cell.strip() for cell in line.strip("|").split(" | ")] for line in body.splitlines() if line[:1] == "|"
        ]
        found[heading] = [row for row in rows if not row[0].startswith("---")][1:]
    return found


def commands(path: Path) -> Iterator[list[str]]:
    """The words after ``docduet`` of every command line in the code blocks and in inline code."""
    lines = [line for block in code_blocks(path, "bash") for line in block.splitlines()]
    inline = (child for token in tokens(path) for child in token.children or [] if child.type == "code_inline")
    lines += [child.content for child in inline]
    for line in lines:
        if line.startswith("docduet "):
            yield shlex.split(line, comments=True)[1:]


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that ``words`` call, and the words that are left for it; unknown commands and options fail."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        while words and words[0].startswith("-"):
            words = words[1 + takes_value(command, words[0]) :]
        if not words or not re.fullmatch(r"[a-z]+", words[0]):
            break
        assert words[0] in command.commands, f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def takes_value(command: Any, option: str) -> bool:
    """Whether the option is followed by a value; AssertionError when ``command`` has no such option."""
    known = {name: param for param in command.params for name in [*param.opts, *param.secondary_opts]}
    assert option in known or option == "--help", f"{command.name} has no option {option}"
    param = known.get(option)
    return isinstance(param, TyperOption) and not param.is_flag


def test_at_least_twelve_pages_in_each_language() -> None:
    assert len(PAGES) >= 24


def test_the_folder_holds_pages_only() -> None:
    """The demo syncs it: whatever else lay there would be reported as skipped."""
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.relative_to(FOLDER).as_posix() for path in files} == set(PAGES)


def test_both_languages_have_the_same_pages() -> None:
    english, chinese = ({page.split("/")[1] for page in PAGES if page.startswith(lang)} for lang in LANGUAGES)
    assert english == chinese


@pytest.mark.parametrize("name", sorted({page.split("/")[1] for page in PAGES}))
def test_both_languages_have_the_same_shape(name: str) -> None:
    """The same sections, tables of the same length, and the same code but for questions and remarks in it."""
    english, chinese = (sections(FOLDER / lang / name) for lang in LANGUAGES)
    assert [len(rows) for rows in english.values()] == [len(rows) for rows in chinese.values()]
    kinds = [[token.info for token in tokens(FOLDER / lang / name) if token.type == "fence"] for lang in LANGUAGES]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_long_enough_and_in_its_language(page: str) -> None:
    from data.lang import detect_lang

    text = (FOLDER / page).read_text(encoding="utf-8")
    assert detect_lang(text) == page[:2]
    assert len(text) > (600 if page.startswith("zh") else 1500)
    assert text.startswith("# ")


@each_text
def test_every_relative_link_resolves(text: Path) -> None:
    for token in tokens(text):
        for child in token.children or []:
            target = str(child.attrs.get("href", "")) if child.type == "link_open" else ""
            if target and not re.match(r"[a-z]+:", target):
                assert (text.parent / target.split("#")[0]).exists(), target


def test_the_readme_names_the_folders_that_there_are() -> None:
    tree = next(token.content for token in tokens(ROOT / "README.md") if token.type == "fence" and not token.info)
    named = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    assert all((ROOT / name).exists() for name in named)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= named


@each_text
def test_every_command_parses(text: Path) -> None:
    for words in commands(text):
        command, rest = resolve(words)
        for word in rest:
            if word.startswith("--"):
                takes_value(command, word.split("=")[0])


@each_text
def test_a_whole_command_has_its_arguments(text: Path) -> None:
    """What stands in a bash block is complete: the command itself parses it."""
    for line in (line for block in code_blocks(text, "bash") for line in block.splitlines()):
        if line.startswith("docduet "):
            command, rest = resolve(shlex.split(line, comments=True)[1:])
            if rest != ["--help"] and not isinstance(command, TyperGroup):
                command.make_context("docduet", list(rest))


@each_text
def test_every_make_target_exists(text: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = re.findall(r"(?:^|`)make ([a-z-]+)", text.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(used) <= targets


@each_language
def test_the_command_line_page_lists_every_command(lang: str) -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    leaves = set()
    for name, command in root.commands.items():
        below = command.commands if isinstance(command, TyperGroup) else None
        leaves |= {f"{name} {leaf}" for leaf in below} if below is not None else {name}
    text = (FOLDER / lang / "command-line.md").read_text(encoding="utf-8")
    first_table = next(iter(sections(FOLDER / lang / "command-line.md").values()))
    listed = {re.sub(r"^docduet | [A-Z.]+$", "", row[0].strip("`")) for row in first_table}
    assert listed == leaves
    options = {name for command in _all(root) for param in command.params for name in param.opts if name[:2] == "--"}
    assert {name for name in options if f"`{name}" not in text} <= {"--help", "--ui"}


def _all(command: Any) -> Iterator[Any]:
    yield command
    for below in command.commands.values() if isinstance(command, TyperGroup) else []:
        yield from _all(below)


@each_language
@pytest.mark.parametrize("table", TABLES)
def test_the_configuration_page_lists_every_key_with_its_default(lang: str, table: str) -> None:
    rows = next(
        rows
        for name, rows in sections(FOLDER / lang / "configuration.md").items()
        if re.split(r"[\s表]", name)[-1] == table
    )
    listed = {row[0].strip("`"): tomllib.loads(f"x = {row[1].strip('`')}")["x"] for row in rows}
    fields = TABLES[table].model_fields.items()
    defaults: dict[str, Any] = {name: f.default for name, f in fields if not isinstance(f.default, BaseModel)}
    assert listed == {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


@each_text
def test_every_toml_block_is_a_valid_configuration(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path))
    tables = {name: model for name, model in TABLES.items() if "." not in name}
    for block in code_blocks(text, "toml"):
        path = tmp_path / "docduet.toml"
        path.write_text(block, encoding="utf-8")
        assert Settings(tables, path=path).table(ServingConfig)


@each_text
def test_every_environment_variable_is_a_setting(text: Path) -> None:
    for path in re.findall(rf"export {ENV_PREFIX}__([A-Z_]+)=", text.read_text(encoding="utf-8")):
        *table, key = path.lower().split("__")
        assert key in TABLES[".".join(table)].model_fields


@each_language
def test_every_error_code_exists_and_is_documented(lang: str) -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "serving").rglob("*.py"))
    raised = set(re.findall(r'\b[1-5]\d\d, "([a-z_]+)"', sources)) | set(re.findall(r'\b4\d\d: "([a-z_]+)"', sources))
    raised -= {kind for kind in raised if kind.endswith("_error")} - {as_api_error(Exception()).code}
    documented = {row[0].strip("`"): int(row[1]) for row in list(sections(FOLDER / lang / "api.md").values())[-1]}
    assert set(documented) <= raised
    assert raised - set(documented) <= {"not_found", "method_not_allowed"}
    for code, status in documented.items():
        assert re.search(rf'{status}[,:] "{code}"|status: int = {status}, code: str = "{code}"', sources), code


@each_language
def test_the_troubleshooting_page_quotes_real_messages(lang: str) -> None:
    """The longest piece of each message that holds nothing variable stands in the code."""
    code = "".join(
        path.read_text(encoding="utf-8") for folder in ("data", "rag", "serving", "ui") for path in _modules(folder)
    )
    code = re.sub(r'"\s*\n\s*f?"', "", code).replace("`", "") + (ROOT / "docduet.py").read_text(encoding="utf-8")
    for name, rows in sections(FOLDER / lang / "troubleshooting.md").items():
        for row in rows:
            constant = re.split(
                r"\.\.\.|'[^']*'|\d[\d,]*|DOCDUET\w+|(?<=a )PNG image|\.md|FOLDER|\(", row[0].strip("`")
            )
            longest = max(constant, key=len).strip(" :;")
            assert longest in code, f"{name}: {row[0]} ({longest!r})"


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@each_language
def test_the_refusal_is_quoted_word_for_word(lang: str) -> None:
    text = (FOLDER / lang / "prompts-and-citations.md").read_text(encoding="utf-8")
    assert all(sentence in text for sentence in REFUSAL.values())


@each_language
def test_the_metrics_are_the_gateways(lang: str) -> None:
    """Each with all of its labels."""
    from serving.ops.metrics import Metrics

    real = {
        metric.describe()[0].name + "_total" * (metric._type == "counter"): metric._labelnames
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_type")
    }
    tables = sections(FOLDER / lang / "operations.md").values()
    rows = {row[0].strip("`"): row[1] for table in tables for row in table if row[0].startswith("`docduet_")}
    assert set(rows) == set(real)
    for name, labels in real.items():
        assert {label for label in labels if f"`{label}`" not in rows[name]} == set(), name


@each_language
def test_the_reloadable_keys_are_the_gateways(lang: str) -> None:
    from serving.ops.reload import RELOADABLE

    tables = sections(FOLDER / lang / "operations.md").values()
    rows = {row[0].strip("`[]"): row[1] for table in tables for row in table if row[0].startswith("`[")}
    for table, keys in RELOADABLE.items():
        assert set(re.findall(r"`(\w+)`", rows[table])) == keys

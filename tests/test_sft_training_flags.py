"""ms-swift's options: the table is what its source says, and nothing else gets through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.errors import ConfigError
from sft.training import flags, swift_source
from sft.training.flags import RENAMED, as_argv, check, table


def source() -> Path | None:
    """Where ms-swift's source lies: DOCDUET_SWIFT_SOURCE (a folder that holds swift/), or installed."""
    given = os.environ.get("DOCDUET_SWIFT_SOURCE")
    return Path(given) if given else swift_source.installed_root()


def test_the_table_is_what_ms_swifts_source_says() -> None:
    root = source()
    if root is None:
        pytest.skip("ms-swift is not installed and DOCDUET_SWIFT_SOURCE names no unpacked wheel of it")
    assert swift_source.version(root) == flags.table_version()
    for backend, read in swift_source.read_flags(root).items():
        assert read == dict(table(backend))


def test_bases_are_followed_across_files_and_their_fields_overridden(tmp_path: Path) -> None:
    """The reader against a small package whose dataclass really imports: the same names, in Python's own order."""
    package = tmp_path / "swift" / "megatron" / "arguments"
    package.mkdir(parents=True)
    (tmp_path / "swift" / "arguments").mkdir()
    for folder in (tmp_path / "swift", package.parent, package):
        (folder / "__init__.py").write_text("")
    (tmp_path / "swift" / "version.py").write_text("__version__ = '9.9'\n")
    (tmp_path / "swift" / "arguments" / "__init__.py").write_text("from .base import Left, Right as Renamed\n")
    (tmp_path / "swift" / "arguments" / "base.py").write_text(
        "from dataclasses import dataclass, field\nfrom typing import List, Literal, Optional, Union\n"
        "@dataclass\nclass Root:\n    level: int = 1\n    kept: Optional[bool] = None\n    _hidden: int = 0\n"
        "@dataclass\nclass Left(Root):\n    level: 'float | None' = 2.0\n"
        "    many: List[str] = field(default_factory=list)\n"
        "@dataclass\nclass Right(Root):\n    level: str = 'x'\n    table: Optional[Union[dict, str]] = None\n"
        "    pick: Literal['a', 'b', None] = field(default='a', metadata={'help': 'Which one. More.'})\n"
    )
    sft = "from dataclasses import dataclass\nfrom swift.arguments import Left, Renamed\n"
    (package / "sft_args.py").write_text(
        sft + "@dataclass\nclass MegatronSftArguments(Left, Renamed):\n    own: int = 3\n"
    )
    (tmp_path / "swift" / "arguments" / "sft_args.py").write_text(
        "from dataclasses import dataclass\nfrom .base import Left\n@dataclass\nclass SftArguments(Left):\n    pass\n"
    )
    read = swift_source.read_flags(tmp_path)["megatron"]
    assert {name: flag.type for name, flag in read.items()} == {
        "kept": "bool", "level": "float", "many": "str", "own": "int", "pick": "str", "table": "json",
    }  # fmt: skip
    assert read["many"].many
    assert (read["pick"].choices, read["pick"].default, read["pick"].help) == (("a", "b"), "'a'", "Which one")
    assert swift_source.version(tmp_path) == "9.9"


@pytest.mark.parametrize("backend", RENAMED)
def test_old_names_are_unknown_today_and_their_new_names_known(backend: str) -> None:
    for old, new in RENAMED[backend].items():
        assert old not in table(backend)
        assert new.split()[0] in table(backend)
        with pytest.raises(ConfigError, match=f"no option {old}: it is called {new.split()[0]}"):
            check(backend, {old: 1})


def test_an_unknown_option_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match="no option recompute_granularty; did you mean recompute_granularity"):
        check("megatron", {"recompute_granularty": "full"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("micro_batch_size", "two", "a whole number"),
        ("micro_batch_size", 1.5, "a whole number"),
        ("packing", "yes please", "true or false"),
        ("lr", "fast", "a number such as 1e-5"),
        ("recompute_granularity", "some", "one of selective, full, none"),
        ("template", None, "a word"),
        ("lr", True, "a number"),
    ],
)
def test_wrong_values_are_refused(name: str, value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*must be {said}"):
        check("megatron", {name: value})


def test_values_take_their_options_type_and_become_words() -> None:
    given = {
        "lr": "1e-5",
        "packing": "true",
        "micro_batch_size": "2",
        "target_modules": ["a", "b"],
        "tuner_type": "full",
    }
    checked = check("megatron", given)
    assert checked == {
        "lr": 1e-5,
        "packing": True,
        "micro_batch_size": 2,
        "target_modules": ("a", "b"),
        "tuner_type": "full",
    }
    words = "--lr 1e-05 --packing true --micro_batch_size 2 --target_modules a b --tuner_type full"
    assert " ".join(as_argv(checked)) == words
    assert check("swift", {"lr_scheduler_kwargs": {"min_lr": 1}}) == {"lr_scheduler_kwargs": '{"min_lr": 1}'}

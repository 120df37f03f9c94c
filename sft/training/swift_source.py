"""The options that ms-swift takes, read from its source by ``ast``.

Its argument dataclasses do not import without Megatron and a GPU, so they are read, not imported: class, base classes,
annotations and defaults, following imports within ms-swift and into transformers. packaging/swift_flags.py writes what
is found here to swift_flags.json, which flags.py checks recipes against; `docduet sft doctor` reads the installed
ms-swift in the same way and compares.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.errors import ConfigError

BACKENDS = {
    "megatron": ("swift.megatron.arguments.sft_args", "MegatronSftArguments"),
    "swift": ("swift.arguments.sft_args", "SftArguments"),
}
"""Backend -> module and class of the dataclass that its command line is parsed into."""


@dataclass(frozen=True)
class Flag:
    """One option. ``type``: bool, int, float, str or json; ``many``: takes several values; ``choices``: () for any."""

    type: str
    many: bool = False
    choices: tuple[str | int, ...] = ()
    default: str = ""
    help: str = ""

    def as_dict(self) -> dict[str, Any]:
        found = {"type": self.type, "many": self.many, "choices": list(self.choices)}
        return {key: value for key, value in {**found, "default": self.default, "help": self.help}.items() if value}


def installed_root() -> Path | None:
    """The folder that holds the installed package ``swift`` (ms-swift), which is not imported; None without it."""
    spec = importlib.util.find_spec("swift")
    places = list(spec.submodule_search_locations or ()) if spec else []
    root = Path(places[0]).parent if places else None
    return root if root and (root / "swift" / "megatron").is_dir() else None


def version(root: Path) -> str:
    """ms-swift's version, as its version.py has it."""
    for node in ast.walk(_parse(root / "swift" / "version.py")):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    raise ConfigError(f"{root}/swift/version.py names no version: is this ms-swift?")


def read_flags(root: Path) -> dict[str, dict[str, Flag]]:
    """Backend -> name -> Flag, of the ms-swift below ``root``. Raises ConfigError where a class is not found."""
    return {backend: _fields(_Class(Path(root), *where)) for backend, where in BACKENDS.items()}


@dataclass(frozen=True)
class _Class:
    """A class in the source: ``module`` below ``root`` (or of an installed package), ``name``."""

    root: Path
    module: str
    name: str

    @cached_property
    def tree(self) -> ast.Module:
        return _parse(_file(self.root, self.module))

    @cached_property
    def node(self) -> ast.ClassDef:
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == self.name:
                return node
        raise ConfigError(f"{self.module} defines no class {self.name}: this table reader knows ms-swift 4.6")

    @property
    def bases(self) -> Iterator[_Class]:
        for base in self.node.bases:
            found = _resolve(self.root, self.module, ast.unparse(base))
            if found:
                yield found


def _fields(cls: _Class) -> dict[str, Flag]:
    """The dataclass's fields: bases first, in the reverse of Python's own method resolution order."""
    shadows: dict[str, _Class] = {}
    found: dict[str, Flag] = {}
    for shadow in reversed(_shadow(cls, {}, shadows).__mro__):
        for name, flag in _own_fields(shadows[shadow.__name__]) if shadow.__name__ in shadows else ():
            found[name] = flag
    return dict(sorted(found.items()))


def _shadow(cls: _Class, made: dict[_Class, type], shadows: dict[str, _Class]) -> type:
    """An empty class with the same bases, so that Python itself works out the order."""
    if cls not in made:
        name = f"{cls.module}:{cls.name}"
        made[cls] = type(name, tuple(_shadow(base, made, shadows) for base in cls.bases), {})
        shadows[name] = cls
    return made[cls]


def _own_fields(cls: _Class) -> Iterator[tuple[str, Flag]]:
    for node in cls.node.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.target.id[0] == "_":
            continue
        annotation = ast.unparse(node.annotation)
        if "ClassVar" in annotation or _keyword(node.value, "init") == "False":
            continue
        yield node.target.id, _flag(node.annotation, node.value)


def _flag(annotation: ast.expr, value: ast.expr | None) -> Flag:
    kinds, choices, many = set(), [], False
    for part in _alternatives(annotation):
        name = ast.unparse(part.value if isinstance(part, ast.Subscript) else part).split(".")[-1]
        if name in ("List", "list") and isinstance(part, ast.Subscript):
            many = True
            kinds |= {_kind(inner) for inner in _alternatives(part.slice)}
        elif name == "Literal" and isinstance(part, ast.Subscript):
            values = [
                item
                for item in ast.literal_eval(
                    part.slice if isinstance(part.slice, ast.Tuple) else f"({ast.unparse(part.slice)},)"
                )
                if item is not None
            ]
            choices += values
            kinds |= {"str" if isinstance(item, str) else type(item).__name__ for item in values}
        else:
            kinds.add(_kind(part))
    kinds.discard("None")
    default, help_ = _default(value), _keyword(value, "metadata")
    return Flag(_widest(kinds), many, tuple(choices), default, _help(help_))


def _alternatives(annotation: ast.expr) -> Iterator[ast.expr]:
    """The members of Optional[...], Union[...] and A | B."""
    if isinstance(annotation, ast.BinOp):
        yield from _alternatives(annotation.left)
        yield from _alternatives(annotation.right)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] in (
        "Optional",
        "Union",
    ):
        inner = annotation.slice
        for part in inner.elts if isinstance(inner, ast.Tuple) else [inner]:
            yield from _alternatives(part)
    elif isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        yield from _alternatives(ast.parse(annotation.value, mode="eval").body)
    else:
        yield annotation


def _kind(part: ast.expr) -> str:
    name = ast.unparse(part.value if isinstance(part, ast.Subscript) else part).split(".")[-1]
    if name in ("bool", "int", "float", "str", "None"):
        return name
    return "json" if name in ("dict", "Dict") else "str"  # enums are given by name


def _widest(kinds: set[str]) -> str:
    for kind in ("json", "str", "float", "int", "bool"):
        if kind in kinds:
            return kind
    return "str"


def _default(value: ast.expr | None) -> str:
    if isinstance(value, ast.Call):
        text = _keyword(value, "default") or _keyword(value, "default_factory").removeprefix("lambda: ")
        return {"list": "[]", "None": ""}.get(text, text)
    return "" if value is None or ast.unparse(value) == "None" else ast.unparse(value)


def _keyword(value: ast.expr | None, name: str) -> str:
    """``name=...`` in a call of field(), as source text; "" without."""
    if isinstance(value, ast.Call):
        for keyword in value.keywords:
            if keyword.arg == name:
                return ast.unparse(keyword.value)
    return ""


def _help(metadata: str) -> str:
    """The first sentence of a field's help, where it is a plain string."""
    try:
        text = " ".join(str(ast.literal_eval(metadata)["help"]).split()) if metadata else ""
    except (ValueError, KeyError, SyntaxError):
        return ""
    return text.split(". ")[0].rstrip(".")


def _resolve(root: Path, module: str, name: str) -> _Class | None:
    """Where the class called ``name`` in ``module`` is defined; None for what no source defines (object, Enum)."""
    tree = _parse(_file(root, module))
    if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
        return _Class(root, module, name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _resolve(root, _absolute(root, module, node), alias.name)
    return None


def _absolute(root: Path, module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = _file(root, module).name == "__init__.py"
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _file(root: Path, module: str) -> Path:
    top, *rest = module.split(".")
    folder = root / top
    if not folder.is_dir():
        spec = importlib.util.find_spec(top)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"{module} is not installed, and ms-swift's options are built on it")
        folder = Path(spec.submodule_search_locations[0])
    base = folder.joinpath(*rest)
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


_PARSED: dict[Path, ast.Module] = {}


def _parse(path: Path) -> ast.Module:
    if path not in _PARSED:
        try:
            _PARSED[path] = ast.parse(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}): is this ms-swift 4.6?") from None
    return _PARSED[path]

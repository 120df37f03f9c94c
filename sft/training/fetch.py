"""Bring a model here, by the hub's own client: whole, checked against the hub's hashes, and going on where it stopped.

Hugging Face: `huggingface_hub` lists and loads. Since 2.x its snapshot_download begins a broken file anew in the next
process, and a shard of Qwen3-8B has 4 GB; so each file goes through its `http_get` into NAME.partial, which stays.
ModelScope: `modelscope.snapshot_download`, which resumes and checks hashes itself; sizes are checked once more.
At the end fetched.json says what came from where. Nothing is changed in a folder whose model is whole already.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from data.errors import ConfigError, DiskFullError, UnreachableSource

MARK = "fetched.json"
NOT_NEEDED = ("original/*", "*.gguf", "*.onnx", "*.msgpack", "*.h5", "*.pth", "onnx/*", "openvino/*")
OFFICIAL = "https://huggingface.co"
CONNECTIONS = 4


@dataclass(frozen=True)
class RemoteFile:
    """``sha256`` of large files, ``git`` of all others: the hash that git gives a blob (SHA-1)."""

    name: str
    size: int
    sha256: str = ""
    git: str = ""


@dataclass(frozen=True)
class Fetched:
    """``commit``: the hub's, "" where it names none. ``loaded``: bytes that came now, the rest was here."""

    repo: str
    source: str
    endpoint: str
    commit: str
    folder: Path
    files: tuple[RemoteFile, ...]
    loaded: int

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder), "files": [asdict(file) for file in self.files]}


def fetch(repo: str, out: Path, source: str = "huggingface", endpoint: str = "", revision: str = "") -> Fetched:
    """Load the model ``repo`` into ``out``. Raises ConfigError, UnreachableSource, DiskFullError."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise ConfigError(f"{repo!r} is no model's name; write OWNER/NAME, such as Qwen/Qwen3-8B")
    out = out.expanduser().absolute()
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not _ours(out)):
        raise ConfigError(f"{out} holds other files: give --out a folder of its own")
    try:
        if source == "modelscope":
            return _from_modelscope(repo, out, endpoint, revision)
        return _from_huggingface(repo, out, endpoint, revision)
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise DiskFullError(
                f"no room left in {out}; make some and run the same command again, it goes on"
            ) from None
        raise


def _ours(out: Path) -> bool:
    """Whether the folder is what an earlier fetch made or began."""
    return (out / MARK).is_file() or (out / ".fetching").is_file() or (out / "config.json").is_file()


def _from_huggingface(repo: str, out: Path, endpoint: str, revision: str) -> Fetched:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise ConfigError("huggingface_hub is not installed: pip install huggingface_hub") from None
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise UnreachableSource(
            "HF_HUB_OFFLINE is set, so nothing is fetched: unset it, or copy the model's folder here"
        )
    at = (endpoint or os.environ.get("HF_ENDPOINT") or OFFICIAL).rstrip("/")
    token = False if endpoint else None  # a saved token is for the official hub, not for any mirror
    with _explained(repo, at, revision):
        info = HfApi(endpoint=at, token=token).model_info(repo, revision=revision or None, files_metadata=True)
        files = _wanted([_remote(one) for one in info.siblings or ()])
        _checked_names(files, out)
        _begin(out)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            loads = [pool.submit(_load, repo, str(info.sha), file, out, at, token) for file in files]
            try:
                loaded = sum(one.result() for one in loads)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return _finish(Fetched(repo, "huggingface", at, str(info.sha), out, tuple(files), loaded))


def _remote(sibling: Any) -> RemoteFile:
    name, size = sibling.rfilename, int(sibling.size or 0)
    if sibling.lfs is not None:  # an empty dict with attributes: never ask whether it is true
        return RemoteFile(name, size, sha256=sibling.lfs.sha256)
    return RemoteFile(name, size, git=sibling.blob_id or "")


def _wanted(files: list[RemoteFile]) -> list[RemoteFile]:
    """Without other formats of the same weights."""
    safe = any(file.name.endswith(".safetensors") for file in files)
    unwanted = (*NOT_NEEDED, *(("*.bin", "*.pt") if safe else ()))
    return [file for file in files if not any(fnmatch(file.name, pattern) for pattern in unwanted)]


def _checked_names(files: list[RemoteFile], out: Path) -> None:
    if not files:
        raise ConfigError("the hub lists no file for this model: check its name, or give --revision")
    for file in files:
        if not (out / file.name).resolve().is_relative_to(out.resolve()) or file.name == MARK:
            raise ConfigError(f"the hub lists a file {file.name!r} outside of the model's folder; nothing was fetched")


def _load(repo: str, commit: str, file: RemoteFile, out: Path, endpoint: str, token: bool | None) -> int:
    """Bring one file, going on with NAME.partial; bytes that came. Raises ConfigError when its hash is wrong."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    target = out / file.name
    if target.is_file() and not problem(target, file):
        return 0
    partial = target.with_name(target.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.exists() and file.size and partial.stat().st_size > file.size:
        partial.unlink()
    with partial.open("ab") as sink:
        begun = sink.tell()
        if begun < file.size or not file.size:
            http_get(
                hf_hub_url(repo, file.name, revision=commit, endpoint=endpoint),
                sink,
                resume_size=begun,
                headers=build_hf_headers(token=token),
                expected_size=file.size or None,
                displayed_filename=file.name,
            )
    wrong = problem(partial, file)
    if wrong:
        partial.unlink()
        raise ConfigError(
            f"{file.name} from {endpoint} is damaged ({wrong}); it was removed, run the same command again"
        )
    partial.replace(target)
    return target.stat().st_size - begun


def problem(path: Path, file: RemoteFile) -> str:
    """How the file differs from what the hub says it is; "" when it does not."""
    size = path.stat().st_size
    if file.size and size != file.size:
        return f"{size:,} bytes instead of {file.size:,}"
    if file.sha256:
        with path.open("rb") as source:
            found = hashlib.file_digest(source, "sha256").hexdigest()
        return "" if found == file.sha256 else f"sha256 {found[:12]}... instead of {file.sha256[:12]}..."
    if file.git:
        digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        digest.update(path.read_bytes())
        return "" if digest.hexdigest() == file.git else "its git hash is another"
    return ""


def _from_modelscope(repo: str, out: Path, endpoint: str, revision: str) -> Fetched:
    try:
        from modelscope import snapshot_download
        from modelscope.hub.api import HubApi
    except ImportError:
        raise ConfigError(
            "modelscope is not installed: pip install modelscope, or leave out --from modelscope"
        ) from None
    at = endpoint.rstrip("/") or "https://www.modelscope.cn"
    _begin(out)
    with _explained(repo, at, revision):
        listed = HubApi(endpoint=at).get_model_files(repo, revision=revision or None)
        files = _wanted([RemoteFile(row["Path"], int(row.get("Size") or 0), row.get("Sha256") or "") for row in listed])
        _checked_names(files, out)
        before = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        names = [file.name for file in files]
        snapshot_download(repo, revision=revision or None, local_dir=str(out), endpoint=at, allow_patterns=names)
    for file in files:
        path = out / file.name
        wrong = problem(path, file) if path.is_file() else "it is missing"
        if wrong:
            raise ConfigError(f"{file.name} from {at} is damaged ({wrong}); remove it and run the same command again")
    after = sum((out / file.name).stat().st_size for file in files)
    return _finish(Fetched(repo, "modelscope", at, revision, out, tuple(files), max(0, after - before)))


def _begin(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".fetching").touch()
    except OSError as error:
        raise ConfigError(f"{out} cannot be written ({error.strerror}); give another --out") from None


def _finish(fetched: Fetched) -> Fetched:
    text = json.dumps(
        {key: value for key, value in fetched.as_dict().items() if key not in ("folder", "loaded")}, indent=1
    )
    (fetched.folder / MARK).write_text(text + "\n", encoding="utf-8")
    (fetched.folder / ".fetching").unlink(missing_ok=True)
    return fetched


@contextmanager
def _explained(repo: str, endpoint: str, revision: str) -> Iterator[None]:
    """The clients' errors as ours; by name, since each client has an HTTP library and errors of its own."""
    try:
        yield
    except (ConfigError, UnreachableSource):
        raise
    except Exception as error:
        names = {cls.__name__ for cls in type(error).__mro__}
        if "GatedRepoError" in names or "AuthenticationError" in names or "PermissionDeniedError" in names:
            raise ConfigError(
                f"{repo} wants you to accept its terms and to log in at {endpoint} (`hf auth login`)"
            ) from None
        if names & {"RepositoryNotFoundError", "NotExistError"}:
            raise ConfigError(
                f"{endpoint} knows no model {repo}: check its name (OWNER/NAME); private ones need a token"
            ) from None
        if "RevisionNotFoundError" in names:
            raise ConfigError(f"{repo} has no revision {revision!r} at {endpoint}") from None
        if isinstance(error, OSError) and error.errno in (28, 122):
            raise
        if isinstance(error, OSError) or names & {"HTTPError", "TransportError", "HubError", "RequestException"}:
            raise UnreachableSource(
                f"{endpoint} could not be reached or broke off ({_brief(error)}). What came is kept: run the same "
                "command again, give --endpoint for a mirror, or copy the model's folder here by hand"
            ) from None
        raise


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:120]}" if text else type(error).__name__

"""A small Hugging Face hub on loopback: what huggingface_hub asks of one, with interruptions on demand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "c0ffee" + "0" * 34


class Hub(ThreadingHTTPServer):
    """``files``: name -> content. ``break_after``: bytes of a large file that come before the line goes dead, for
    good; None: no interruption. ``ranges``: the Range headers that came. ``tokens``: the Authorization headers."""

    daemon_threads = True

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo, self.files = repo, files
        self.break_after: int | None = None
        self.broken = False
        self.ranges: list[str] = []
        self.tokens: list[str] = []
        self.listed: list[dict[str, object]] = [_listed(name, content) for name, content in files.items()]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _listed(name: str, content: bytes) -> dict[str, object]:
    if name.endswith(".safetensors"):
        lfs = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
        return {"rfilename": name, "size": len(content), "blobId": "0" * 40, "lfs": lfs}
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    return {"rfilename": name, "size": len(content), "blobId": blob}


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        self.server.tokens += self.headers.get_all("Authorization") or []
        if self.server.broken:
            self._answer(503, b"gone")
        elif re.match(rf"/api/models/{self.server.repo}(/revision/(main|{COMMIT}))?(\?|$)", self.path):
            info = {"id": self.server.repo, "sha": COMMIT, "siblings": self.server.listed}
            self._answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith("/api/"):
            what = "RevisionNotFound" if f"/{self.server.repo}/" in self.path else "RepoNotFound"
            self._answer(404, b"", {"X-Error-Code": what})
        else:
            self._file(body=True)

    def _file(self, body: bool) -> None:
        name = self.path.removeprefix(f"/{self.server.repo}/resolve/{COMMIT}/")
        content = self.server.files.get(name)
        if content is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.server.ranges += [asked[0]] if asked else []
        headers = {"ETag": '"x"', "X-Repo-Commit": COMMIT, "Content-Range": f"bytes {start}-/{len(content)}"}
        limit = self.server.break_after if name.endswith(".safetensors") and body else None
        self._answer(206 if asked else 200, content[start:] if body else b"", headers, limit)

    def _answer(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, limit: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            if name != "Content-Range" or status == 206:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:limit])
        if limit is not None:
            self.server.broken = True
            self.close_connection = True


@contextmanager
def serve(repo: str, files: dict[str, bytes]) -> Iterator[Hub]:
    with Hub(repo, files) as hub:
        thread = Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()

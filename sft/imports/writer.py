"""Files of questions and answers as one writer: the same gates, mixture and split as for everything else.

A row that names a page by its url belongs to that page: both lie on the same side of the split, and `--diff` lists the
sample when the page changes. Nothing is asked of the page's words: a person wrote the answer.

Corrections from the chat that are evaluation questions (data/corrections.py) never become samples, whatever is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data.citations import strip_markers
from data.corrections import newest, standing, use_of
from data.errors import ConfigError
from data.feedback import Feedback, Turn, read_feedback
from data.lang import detect_lang
from data.prompts import Message, sft_messages
from data.text import folded
from data.types import Page
from sft.imports.columns import WANTED, Columns, find_columns
from sft.imports.conversation import Conversation, conversation
from sft.imports.rows import read_rows
from sft.types import Context, Sample

FEEDBACK = "feedback"


class ImportWriter:
    """``columns``: field -> column, chosen by hand. ``lang``: only conversations in this language, when given.
    ``promoted``: a file of corrections of which only those count that an administrator has promoted."""

    name = "import"

    def __init__(
        self,
        paths: Sequence[Path],
        columns: Mapping[str, str] | None = None,
        lang: str = "",
        promoted: Path | None = None,
    ) -> None:
        self.paths = (*paths, promoted) if promoted else tuple(paths)
        self.promoted = promoted
        self.columns = dict(columns or {})
        self.lang = lang
        self.notes: list[str] = []

    @property
    def generators(self) -> frozenset[str]:
        """What the samples of these files are called in the provenance."""
        return frozenset(self._generator(path) for path in self.paths)

    def _generator(self, path: Path) -> str:
        return FEEDBACK if path == self.promoted or _is_feedback(path) else f"import:{path.name}"

    def drafts(self, pages: Sequence[Page], only: frozenset[str] | None = None) -> Iterator[Sample]:
        """Every row, whatever ``only`` says: files are read anew each time. Raises ConfigError."""
        self.notes.clear()
        homes = {page.url: page for page in pages}
        for path in self.paths:
            unknown, foreign = 0, 0
            generator = self._generator(path)
            for said in self._conversations(path, generator):
                if self.lang and said.lang != self.lang:
                    foreign += 1
                    continue
                found = [home for url in said.urls if (home := _home(url, homes))]
                unknown += bool(said.urls) and not found
                yield _sample(said, found, generator)
            if unknown:
                self.notes.append(
                    f"{path.name}: {unknown} rows name a page that is not among the synced ones; they count as "
                    "rows without a page."
                )
            if foreign:
                self.notes.append(f"{path.name}: {foreign} rows are in another language than {self.lang}.")

    def _conversations(self, path: Path, generator: str) -> Iterator[Conversation]:
        if generator == FEEDBACK:
            yield from map(_corrected, self._corrections(path))
            return
        known: dict[tuple[str, ...], Columns | None] = {}
        for row in read_rows(path, lambda names: find_columns(names, self.columns) is not None):
            names = tuple(row.values)
            if names not in known:
                known[names] = find_columns(names, self.columns)
            columns = known[names]
            if columns is None:
                raise ConfigError(
                    f"{row.place} has the columns {', '.join(names) or '(none)'}; wanted are {WANTED}. "
                    "Name yours with --column question=COLUMN --column answer=COLUMN"
                )
            yield conversation(row, columns)

    def _corrections(self, path: Path) -> list[Feedback]:
        """Those to train on: none that was rejected or is an evaluation question."""
        found = standing(read_feedback(path))
        wanted = ("promoted",) if path == self.promoted else ("kept", "proposed", "promoted")
        open_ = [entry for entry in found if entry.review in ("kept", "proposed")]
        taken = [entry for entry in found if entry.review in wanted]
        held = sum(use_of(entry) == "eval" for entry in taken)
        if held:
            self.notes.append(f"{path.name}: {held} corrections are evaluation questions and were left out.")
        if open_ and path == self.promoted:
            self.notes.append(
                f"{path.name}: {len(open_)} corrections wait for a decision and were left out: see `docduet data "
                "feedback list`."
            )
        return newest(entry for entry in taken if use_of(entry) == "sft")


def _is_feedback(path: Path) -> bool:
    """By its first line: an export of the chat's corrections under another name is one, too."""
    if path.suffix.lower() != ".jsonl":
        return False
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"question", "answer", "correction"} <= set(first)


def _corrected(entry: Feedback) -> Conversation:
    history = map(_earlier, entry.history)
    asked = Message(role="user", content=entry.question)
    # What was corrected may be a cited answer; without passages its markers point nowhere.
    correction = strip_markers(entry.correction) if entry.sources else entry.correction
    said = Message(role="assistant", content=correction.strip())
    lang = entry.lang or detect_lang(f"{entry.question}\n{entry.correction}")
    return Conversation((*history, asked, said), lang[:2], entry.sources if entry.pages is None else entry.pages)


def _earlier(turn: Turn) -> Message:
    """An earlier answer, which nobody has looked at, is not trained on; without the markers of citations, whose
    passages are not there either."""
    if turn.role == "assistant":
        return Context(role=turn.role, content=strip_markers(turn.content), loss=False)
    return Message(role=turn.role, content=turn.content)


def _home(url: str, pages: Mapping[str, Page]) -> Page | None:
    bare = url.split("#")[0]
    forms = (url, bare, bare.rstrip("/"), f"{bare}/", bare.removeprefix("./").removeprefix("/"))
    return next((pages[form] for form in forms if form in pages), None)


def _sample(said: Conversation, homes: Sequence[Page], generator: str) -> Sample:
    homes = list({page.url: page for page in homes}.values())
    question = next((message["content"] for message in said.messages if message["role"] == "user"), "")
    system = sft_messages(question, (), said.lang)[0]
    return Sample(
        messages=(system, *said.messages),
        shape="imported",
        lang=said.lang,
        pages=tuple(page.url for page in homes),
        page_hashes=tuple(page.content_hash for page in homes),
        generator=generator,
        family=f"question:{folded(question)[:200]}",
        support="",
    )

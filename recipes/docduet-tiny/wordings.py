"""The facts of the handbook in people's words (wordings/LANG/PAGE.jsonl) -> rows for `docduet sft build --import`.

python recipes/docduet-tiny/wordings.py OUT.jsonl

A line of wordings/ is one fact: {"questions": [five or more, each as another person would ask], "answer": "..."}. They
were written for this model, page by page, in the words that people use, without a look at the evaluation questions;
`docduet sft build` leaves out what comes too close to one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).with_name("wordings")


def rows(folder: Path = FOLDER) -> Iterator[dict[str, str]]:
    """One row a question: question, answer, lang and url, the page's own. Raises ValueError for a broken line."""
    for path in sorted(folder.glob("*/*.jsonl")):
        page = f"{path.parent.name}/{path.stem}.md"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                fact = json.loads(line)
                for question in fact["questions"]:
                    yield {"question": question, "answer": fact["answer"], "lang": path.parent.name, "url": page}
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}: line {number} is not a fact: {error!r}") from None


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for row in rows():
            out.write(json.dumps(row, ensure_ascii=False) + "\n")

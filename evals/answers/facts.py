"""Facts recalled: which of a question's gold facts an answer states.

A fact with keys is stated when of every group at least one alternative stands in the answer, both normalised (text.py).
An alternative of letters begins at the beginning of a word and may end inside one ("restart" is in "restarted", "port"
is not in "support"); a number is a whole number ("5" is not in "15", "0.5" or "5.5"). "re:" begins a regular expression
over the normalised answer. A fact without keys is stated when rag/support.py judges that the answer supports it.

The share of gold facts in an answer is known as nugget recall (Voorhees, "Overview of the TREC 2003 Question Answering
Track") and as claim recall (RAGChecker, arXiv 2408.08067).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from evals.answers.text import normalised, said
from evals.questions import Fact
from rag.support import Weigh, best_support, claim_of, source_of


def alike(text: str) -> Mapping[str, float]:
    """Weights where nothing is known of a corpus: every word tells as much."""
    return {}


def recalled(fact: Fact, answer: str, weigh: Weigh = alike) -> bool:
    """Whether ``answer`` states ``fact``. ``weigh``: how much words tell, for facts without keys."""
    if fact.keys:
        return place(fact.keys, said(answer)) is not None
    claim = claim_of(fact.text, weigh)
    if claim is None:
        return normalised(fact.text) in said(answer)
    return bool(answer.strip()) and best_support(claim, [source_of(answer)]).supported


def facts_recalled(facts: Sequence[Fact], answer: str, weigh: Weigh = alike) -> tuple[float, tuple[Fact, ...]]:
    """The share of ``facts`` (one or more) that ``answer`` states, and those that it does not."""
    missing = tuple(fact for fact in facts if not recalled(fact, answer, weigh))
    return 1 - len(missing) / len(facts), missing


def place(groups: Sequence[Sequence[str]], text: str) -> int | None:
    """Where in the normalised ``text`` all groups have been said: the last of their first places; None: not all are."""
    last = 0
    for group in groups:
        found = [match.start() for key in group if (match := _pattern(key).search(text))]
        if not found:
            return None
        last = max(last, min(found))
    return last


@lru_cache(maxsize=4096)
def _pattern(key: str) -> re.Pattern[str]:
    if key.startswith("re:"):
        return re.compile(key.removeprefix("re:"), re.IGNORECASE)
    text = normalised(key)
    before = r"(?<![a-z])" if re.match("[a-z]", text) else r"(?<!\d)(?<!\d[.,])" if re.match(r"\d", text) else ""
    after = r"(?![.,]?\d)" if re.search(r"\d$", text) else ""
    return re.compile(f"{before}{re.escape(text)}{after}")

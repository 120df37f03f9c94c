"""What an index can be filtered by, and what is said about a filter that finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import UnknownLabelError
from data.home import Home
from data.types import ANY, Filters, Page
from rag.build import build_index
from rag.config import RagConfig
from rag.labels import LabelCount, check, values
from rag.live import LiveIndex
from tests.fakes import HashedWords

KNOWN = [
    LabelCount("Widget", "2.1", "en", 3),
    LabelCount("Widget", "2.10", "zh", 2),
    LabelCount("Widget", "latest", "en", 2),
    LabelCount("Gadget", "1.0", "en", 1),
    LabelCount("", "", "en", 1),
]


def test_values_in_the_order_people_look_for_them() -> None:
    assert values(KNOWN, "product") == ["Gadget", "Widget"]
    assert values(KNOWN, "version") == ["latest", "2.10", "2.1", "1.0"]
    assert values(KNOWN, "version", Filters(product="Widget", lang="en")) == ["latest", "2.1"]
    assert values([], "lang") == []


@pytest.mark.parametrize("filters", [ANY, Filters(product="Widget"), Filters("Widget", "2.10", "zh")])
def test_a_filter_that_some_page_passes_is_fine(filters: Filters) -> None:
    check(KNOWN, filters)


@pytest.mark.parametrize(
    ("filters", "label", "said"),
    [
        (Filters(product="Wigdet"), "product", "no page has product 'Wigdet'; there are: Gadget, Widget"),
        (Filters("Widget", "9"), "version", "no page has version '9'; there are: latest, 2.10, 2.1, 1.0"),
        (
            Filters("Gadget", "2.1"),
            "version",
            "no page has product 'Gadget' and version '2.1'; with product 'Gadget', version can be: 1.0",
        ),
        (Filters("Gadget", "2.1", "zh"), "lang", "; with product 'Gadget' and version '2.1', drop one"),
    ],
)
def test_a_filter_that_no_page_passes_says_what_there_is(filters: Filters, label: str, said: str) -> None:
    with pytest.raises(UnknownLabelError) as error:
        check(KNOWN, filters)
    assert said in str(error.value)
    assert error.value.label == label


def test_pages_without_such_a_label() -> None:
    with pytest.raises(UnknownLabelError, match=r"\[\[data.labels\]\]"):
        check([LabelCount("", "", "en", 4)], Filters(product="Widget"))
    many = [LabelCount(f"p{n:02}", "", "en", 1) for n in range(30)]
    with pytest.raises(UnknownLabelError, match=r"p19 and 10 more$"):
        check(many, Filters(product="x"))


def test_labels_are_the_live_generations(tmp_path: Path) -> None:
    home, words = Home(tmp_path), HashedWords()
    live = LiveIndex(home, RagConfig(), words)
    pages = [Page(f"{n}.md", f"Page {n}", "Some text.", labels={"product": "Widget"}) for n in range(3)]
    build_index([*pages, Page("d.md", "D", "Text.", "zh")], home, RagConfig(), embedder=words)
    assert sorted(live.retriever().labels, key=str) == [LabelCount("", "", "zh", 1), LabelCount("Widget", "", "en", 3)]
    embedded = len(words.embedded)
    relabelled = [Page(page.url, page.title, page.body, labels={"product": "Gadget"}) for page in pages]
    assert build_index(relabelled, home, RagConfig(), embedder=words).built
    assert live.retriever().labels == [LabelCount("Gadget", "", "en", 3)]
    assert len(words.embedded) == embedded

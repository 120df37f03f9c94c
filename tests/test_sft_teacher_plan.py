"""What the teacher is to be asked: parts of pages for the shapes of a mixture, bounded, and stable under changes."""

from __future__ import annotations

from data.types import Page
from sft.mixture import Mixture
from sft.nearest import by_lang
from sft.teacher.plan import PARTS_A_PAGE, QUESTIONS_A_CALL, Part, Plan, cut
from tests.teacher_lessons import EVERY, ONLY_SINGLE, docs


def test_nothing_is_asked_for_a_shape_without_share() -> None:
    plan = Plan(docs(10), Mixture("m", {"how-to": 0.5, "whole-page": 0.5, "single": 0.0}))
    shapes = {one.shape for job in plan.jobs if isinstance(job, Part) for one in job.wanted}
    assert shapes == {"how-to"}
    assert {type(job).__name__ for job in plan.jobs} == {"Part", "WholePage"}


def test_a_page_of_two_megabytes_is_asked_about_all_over_but_not_for_ever() -> None:
    body = "\n\n".join(
        f"## Part {n}\n\n" + f"The number {n} stands for thing {n} in the list. " * 40 for n in range(1200)
    )
    page = Page("big.md", "Big", body, "en")
    assert len(body) > 2_000_000
    plan = Plan([page, *docs(3)], ONLY_SINGLE)
    parts = [job for job in plan.jobs if isinstance(job, Part) and job.page is page]
    assert 100 <= sum(len(part.wanted) for part in parts) <= PARTS_A_PAGE * QUESTIONS_A_CALL
    assert parts[-1].passages[0].chunk.start > 0.9 * len(body)
    assert all(sum(len(one.text) for one in part.passages) < 12_000 for part in parts)


def test_a_changed_page_changes_nothing_for_the_others() -> None:
    pages = docs(30)
    changed = [*pages[:7], Page(pages[7].url, "Guide 7", pages[20].body * 3, "en"), *pages[8:]]
    before, after = (
        {(job.page.url, job.wanted) for job in Plan(some, EVERY, 2).jobs if isinstance(job, Part)}
        for some in (pages, changed)
    )
    assert {url for url, _ in before ^ after} <= {pages[7].url}


def test_parts_hold_all_passages_of_a_short_page() -> None:
    page = docs(1)[0]
    passages = by_lang([page])["en"].of(page)
    assert [one for part in cut(passages) for one in part] == passages

"""Markers in every form, split anywhere, never invented."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.citations import CitationStream, Cite, strip_markers


def run(text: str, passages: int = 3, cut: int | None = None) -> str:
    """The outgoing text; ``cut`` splits the input into deltas of that many characters."""
    stream = CitationStream(passages)
    deltas = [text] if cut is None else [text[i : i + cut] for i in range(0, len(text), cut)]
    pieces = [piece for delta in deltas for piece in stream.feed(delta)] + stream.close()
    return "".join(piece.marker if isinstance(piece, Cite) else piece for piece in pieces)


FORMS = [
    ("Plain [1].", "Plain [1]."),
    ("Second first [2], then [1].", "Second first [1], then [2]."),
    ("List [1, 3].", "List [1][2]."),
    ("Range [1-3].", "Range [1][2][3]."),
    ("Double [[2]].", "Double [1]."),
    ("中文【1】，和［2］。", "中文[1]，和[2]。"),
    ("中文【1、2】。", "中文[1][2]。"),
    ("Invented [9].", "Invented."),
    ("Half invented [1, 9].", "Half invented [1]."),
    ("Zero [0] and big [2048].", "Zero and big [2048]."),
    ("Twice [1][1].", "Twice [1]."),
    ("Twice in turn [1] text [1].", "Twice in turn [1] text [1]."),
    ("Code `a[1]` stays, [1] counts.", "Code `a[1]` stays, [1] counts."),
    ("```py\nx = a[2]\n```\nDone [2].", "```py\nx = a[2]\n```\nDone [1]."),
    ("- ```\n  a[1]\n  ```\n- b [1]", "- ```\n  a[1]\n  ```\n- b [1]"),
    ("~~~\n[1]\n~~~\n[3]", "~~~\n[1]\n~~~\n[1]"),
    ("A stray ` backtick [2]\nnext line [1]", "A stray ` backtick [1]\nnext line [2]"),
    ("Stray at the end ` [9]", "Stray at the end `"),
    ("``two ` [1]`` and [2]", "``two ` [1]`` and [1]"),
    ("``` x[1]``` is inline, [2]", "``` x[1]``` is inline, [1]"),
    ("```py [1]\n``` x [2]\n```  \n[3]", "```py [1]\n``` x [2]\n```  \n[1]"),
    ("Spaced [ 1 ] and [2,  3].", "Spaced [1] and [2][3]."),
    ("Named [Passage 2], [sources 1 & 3], 【段落 2】.", "Named [1], [2][3], [1]."),
    ("A footnote [^2] and 【3†L1-L9】.", "A footnote [1] and [2]."),
    ("Full width [１].", "Full width [1]."),
    ("A pattern [0-9] and [a-z] and [^0-9].", "A pattern [0-9] and [a-z] and [^0-9]."),
    ("Many [" + ", ".join(["1", "2"] * 10) + "].", "Many " + "[1][2]" * 10 + "."),
    ("Not hidden [[9]1] nor [1[9]] nor [1 [9]] nor 【9【9】】.", "Not hidden [ 1] nor [1 ] nor [1 ] nor 【9 】."),
    ("A remark [1] (see there) [2] : so.", "A remark [1] (see there) [2] : so."),
    ("[source code](x) and [so on](y)", "[source code](x) and [so on](y)"),
    ("Not a marker [link](x) [a] [ ].", "Not a marker [link](x) [a] [ ]."),
    ("Spoofed [1](http://evil) link.", "Spoofed [1] (http://evil) link."),
    ("[1]: http://evil", "[1] : http://evil"),
    ("[1][evil]", "[1] [evil]"),
    ("Open end [1", "Open end [1"),
    ("🙂 emoji [1]", "🙂 emoji [1]"),
]


@pytest.mark.parametrize(("text", "expected"), FORMS)
@pytest.mark.parametrize("cut", [None, 1, 2, 3, 7])
def test_every_form_in_any_split(text: str, expected: str, cut: int | None) -> None:
    assert run(text, cut=cut) == expected


@given(st.text(alphabet="ab [](){}【】［］0123459,-`~\n:", max_size=80), st.integers(1, 9), st.integers(0, 4))
def test_the_split_never_matters_and_no_marker_is_invented(text: str, cut: int, passages: int) -> None:
    whole = run(text, passages)
    assert run(text, passages, cut) == whole
    stream = CitationStream(passages)
    cites = [piece for piece in [*stream.feed(text), *stream.close()] if isinstance(piece, Cite)]
    assert all(0 <= cite.index < passages and stream.order[cite.number - 1] == cite.index for cite in cites)


UGLY = st.sampled_from(
    ["[", "]", "[9]", "[1]", "[2", "3]", "9", " ", "1", "[[", "【", "】", "(", ":", "\n", "é", "e\u0301"]
)
FENCES = st.sampled_from(["`", "```", "~~~", "\n", " ", "[1]", "[2]", "x", "- ", "py"])


@given(
    st.lists(UGLY | st.sampled_from(["🙂", "中", "👩‍🚒", "passage ", "†", "^"]), max_size=20).map("".join),
    st.integers(1, 4),
)
def test_every_marker_that_leaves_is_a_citation_and_its_offsets_are_right(text: str, cut: int) -> None:
    stream = CitationStream(3)
    deltas = [text[i : i + cut] for i in range(0, len(text), cut)]
    pieces = [piece for delta in deltas for piece in stream.feed(delta)] + stream.close()
    said, spans = "", []
    for piece in pieces:
        start = len(said)
        said += piece.marker if isinstance(piece, Cite) else piece
        if isinstance(piece, Cite):
            spans.append((start, len(said)))
            assert said[start:] == f"[{piece.number}]"
    left = [found.span() for found in re.finditer(r"\[\d{1,3}\]|【\d{1,3}】", said)]
    assert left == spans


@given(st.lists(FENCES, max_size=16).map("".join), st.integers(1, 9))
def test_the_split_never_matters_around_code(text: str, cut: int) -> None:
    assert run(text, cut=cut) == run(text)


def test_text_comes_out_before_the_answer_ends() -> None:
    stream = CitationStream(2)
    assert stream.feed("Hello wor") == ["Hello wor"]
    assert stream.feed("ld [") == ["ld"]
    assert stream.feed("2]") == [" ", Cite(1, 1)]


def test_strip_markers() -> None:
    assert strip_markers("Set it [1], `a[1]` [2].") == "Set it, `a[1]`."

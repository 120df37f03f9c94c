"""Quoting mode: verbatim blocks, best first, cut on whole lines or sentences."""

from rag.types import Passage, Why
from serving.arms.quoting import MAX_CHARS, as_markdown, marker_lead, quotes


def passage(text: str, index: int = 0, lang: str = "en") -> Passage:
    return Passage(
        index, f"p{index}", f"{index}.md", "Guide", (), text, 0, len(text), lang, "", "", 1.0, index + 1, Why()
    )


def test_the_block_that_answers_is_quoted_not_the_whole_passage() -> None:
    text = "The gateway has logs.\n\nThe gateway listens on port 7860 by default.\n\nIt is written in Python."
    assert [q.text for q in quotes("Which port does the gateway listen on?", [passage(text)])] == [
        "The gateway listens on port 7860 by default."
    ]


def test_an_introduction_brings_its_list_along() -> None:
    text = "To install the engine, run these steps:\n\n1. Make a folder.\n2. Run the installer."
    assert quotes("How do I install the engine?", [passage(text)])[0].text == text


def test_code_brings_its_introduction_along() -> None:
    text = "Start it like this.\n\n```bash\ndocduet serve --port 8080\n```"
    assert quotes("docduet serve --port", [passage(text)])[0].text == text


def test_a_second_quote_only_when_it_says_as_much() -> None:
    good = passage("Set the port with the option --port of docduet serve.", 0)
    weak = passage("Serve dinner at eight.", 1)
    also = passage("The option --port of docduet serve defaults to port 7860.", 2)
    assert [q.index for q in quotes("docduet serve --port option", [good, weak, also])] == [0, 2]


def test_further_quotes_are_in_the_language_of_the_first() -> None:
    found = [
        passage("Set the port with the option --port of docduet serve.", 0),
        passage("用 docduet serve 的选项 --port 设置端口（port）。", 1, "zh"),
        passage("docduet serve 的选项 --port（port option）默认为 7860。", 2, "zh"),
        passage("The option --port of docduet serve defaults to port 7860.", 3),
    ]
    assert [q.index for q in quotes("docduet serve --port option", found)] == [0, 3]
    assert [q.index for q in quotes("docduet serve 的选项 --port", found[1:])] == [0, 1]


def test_long_prose_is_cut_at_sentences_around_the_best_one() -> None:
    filler = " ".join(f"Sentence number {i} is about nothing at all." for i in range(40))
    text = f"{filler} The frobnicator needs 12 volts. {filler}"
    found = quotes("What does the frobnicator need?", [passage(text)])[0].text
    assert found.startswith("The frobnicator needs 12 volts.")
    assert len(found) <= MAX_CHARS
    assert found.endswith(".")


def test_long_code_is_cut_at_lines_and_stays_closed() -> None:
    code = "```\n" + "\n".join(f"line_{i} = {i} * frobnicate()" for i in range(200)) + "\n```"
    found = quotes("frobnicate", [passage(code)])[0].text
    assert found.count("```") == 2
    assert len(found) < 2 * MAX_CHARS + 10


def test_chinese() -> None:
    text = "网关写日志。\n\n网关默认监听 7860 端口。"
    assert quotes("网关监听哪个端口", [passage(text)])[0].text == "网关默认监听 7860 端口。"


def test_no_passages_no_quotes() -> None:
    assert quotes("anything", []) == []


def test_the_marker_does_not_land_inside_a_table_or_code() -> None:
    assert marker_lead("Plain text.") == " "
    assert marker_lead("| a | b |\n|---|---|\n| 1 | 2 |") == "\n>\n> "
    assert marker_lead("```\nx\n```") == "\n>\n> "
    assert as_markdown("a\n\nb") == "> a\n>\n> b"

"""Questions and answers of your own: every form, the columns, what is taken out of tickets, and what is told."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from typer.testing import CliRunner

from data.corrections import review, take_back, use_of
from data.errors import ConfigError, EmptySourceError
from data.feedback import Feedback, Turn, append_feedback
from data.types import Page
from docduet import app
from sft.build import build
from sft.imports.columns import parse_column_options
from sft.imports.tickets import cleaned
from sft.imports.writer import ImportWriter
from sft.mixture import Mixture
from sft.rules.writer import RuleWriter
from sft.tokens import Estimate
from sft.types import Sample
from tests.test_sft_dataset import MIXTURE, docs, gate_of

QUESTION, ANSWER = "How do I change the port, please?", "Set `port` in docduet.toml; the default is 7860."
ROW = {"question": QUESTION, "answer": ANSWER}
CHAT = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
SHAREGPT = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": ANSWER}]
FOLLOW = [*CHAT, {"role": "user", "content": "And the host?"}, {"role": "assistant", "content": "Set `host` there."}]


def read(path: Path, *columns: str, pages: tuple[Page, ...] = ()) -> list[Sample]:
    return list(ImportWriter([path], parse_column_options(columns)).drafts(pages))


def said(sample: Sample) -> list[str]:
    return [message["content"] for message in sample.messages if message["role"] != "system"]


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (ROW, [QUESTION, ANSWER]),
        ({"问题": "怎么修改端口？", "答案": "设置 port。"}, ["怎么修改端口？", "设置 port。"]),
        ({"messages": [{"role": "system", "content": "Be rude."}, *CHAT]}, [QUESTION, ANSWER]),
        ({"messages": FOLLOW}, [message["content"] for message in FOLLOW]),
        ({"messages": [{**CHAT[0], "content": [{"type": "text", "text": QUESTION}]}, CHAT[1]]}, [QUESTION, ANSWER]),
        ({"conversations": SHAREGPT}, [QUESTION, ANSWER]),
        ({"instruction": "Fix this:", "input": "port = x", "output": ANSWER}, ["Fix this:\nport = x", ANSWER]),
        (
            {"instruction": "And the host?", "output": "Set `host` there.", "history": [[QUESTION, ANSWER]]},
            [message["content"] for message in FOLLOW],
        ),
    ],
)  # fmt: skip
def test_every_form_of_json_lines(tmp_path: Path, row: dict[str, Any], wanted: list[str]) -> None:
    [sample] = read(lines(tmp_path / "mine.jsonl", row))
    assert said(sample) == wanted
    assert (sample.shape, sample.generator) == ("imported", "import:mine.jsonl")
    assert sample.messages[0]["role"] == "system"
    assert "rude" not in sample.messages[0]["content"]
    (tmp_path / "mine.json").write_text(json.dumps([row]))
    assert said(read(tmp_path / "mine.json")[0]) == wanted


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_tables_in_any_encoding_and_with_any_delimiter(tmp_path: Path, encoding: str, mark: str) -> None:
    text = f'问题{mark}答案{mark}备注\n"端口, 主机;怎么改？\n请说明"{mark}"在 ""docduet.toml"" 中设置"{mark}无\n\n'
    (tmp_path / "faq.csv").write_bytes(text.encode(encoding))
    [sample] = read(tmp_path / "faq.csv")
    assert said(sample) == ["端口, 主机;怎么改？\n请说明", '在 "docduet.toml" 中设置']
    assert sample.lang == "zh"


def test_a_workbook_with_formulas_and_a_sheet_of_notes(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "faq.xlsx",
        Notes=[["by"], ["me"]],
        Faq=[["Question", "Answer"], [QUESTION, '="a"&"b"'], [None, None]],
    )
    assert [said(sample) for sample in read(calculated(path, "ab"))] == [[QUESTION, "ab"]]


def calculated(path: Path, value: str) -> Path:
    """As Excel saves it: the formula in B2 with its result beside it."""
    old, new = zipfile.ZipFile(path), io.BytesIO()
    with zipfile.ZipFile(new, "w") as out:
        for name in old.namelist():
            text = re.sub(r"</f><v ?/>|</f><v></v>", f"</f><v>{value}</v>", old.read(name).decode())
            out.writestr(name, text.replace('<c r="B2"><f>', '<c r="B2" t="str"><f>'))
    path.write_bytes(new.getvalue())
    return path


def test_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text("Frage;Antwort;Seite\nWie?;So geht das.;a.md#top\n")
    page = Page("a.md", "A", "Body.", "de")
    [sample] = read(tmp_path / "faq.csv", "question=Frage", "answer=Antwort", "url=Seite", pages=(page,))
    assert said(sample) == ["Wie?", "So geht das."]
    assert (sample.pages, sample.page_hashes) == (("a.md",), (page.content_hash,))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("faq.csv", b"Frage,Antwort\nWie?,So.\n", "line 2 has the columns Frage, Antwort; wanted are question and"),
        ("faq.csv", b"", "is empty"),
        ("faq.csv", b"question,answer\n", "is empty"),
        ("faq.csv", b'question,answer\n"a,b\nc,d\n', r"line 2 is not CSV .*quotation mark"),
        ("faq.csv", b"question,answer\na,b,c\n", "line 2 has 3 cells"),
        ("faq.jsonl", b'{"question":"a","answer":"b"}\n\n{"question":\n', "line 3 is not JSON"),
        ("faq.jsonl", b'["a"]\n["b"]', "not JSON"),
        ("faq.json", b'["a"]', "entry 1 is no object"),
        ("faq.jsonl", b'"a"', "line 1 must be an object"),
        ("faq.jsonl", b'{"question":"a","reply_by":"b"}', "line 1 has the columns question, reply_by"),
        ("faq.jsonl", b'{"question":{"a":1},"answer":"b"}', "line 1: question must be text, not dict"),
        ("faq.jsonl", b'{"messages":"hello"}', "line 1: messages is not JSON"),
        ("faq.jsonl", b'{"messages":{"role":"user"}}', "line 1: messages must be a list"),
        ("faq.jsonl", b'{"messages":["hello"]}', "line 1: each message must be an object"),
        ("faq.jsonl", b'{"instruction":"a","output":"b","history":["c"]}', "line 1: history must be a list of pairs"),
        ("faq.xlsx", b"question,answer\na,b\n", "no Excel workbook"),
        ("faq.docx", b"", "cannot be imported: give one of .csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_told(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=told) as raised:
        read(tmp_path / name)
    assert name in str(raised.value)


def test_unreadable_and_wrong_options_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path / "folder.csv")
    path = workbook(tmp_path / "faq.xlsx", One=[["a", "b"], ["c", "d"]])
    with pytest.raises(ConfigError, match="sheet One, row 2 has the columns a, b"):
        read(path)
    with pytest.raises(ConfigError, match="FIELD is one of question"):
        parse_column_options(["frage=Frage"])


TICKET = {
    "id": 48213,
    "subject": "RE: [Ticket #48213] Gateway does not start",
    "description": "Hi team,\n\nsince the update to 2.13.0 the gateway on 192.168.1.100:7860 stops with error "
    "1234567890. Call me at +1 (202) 555-0123 or write to jane.doe@acme.com.\n\nBest regards,\nJane Doe\n"
    "Tel: +49 30 901820",
    "resolution": "Hello Jane,\n\n1. Open `docduet.toml`.\n2. Set `port = 7861`.\n\nThanks!\nBob\n\n"
    "On Mon, 3 Nov 2026 at 10:12, Jane wrote:\n> it stops",
}  # fmt: skip


def test_tickets_lose_people_and_keep_the_matter(tmp_path: Path) -> None:
    [sample] = read(lines(tmp_path / "tickets.jsonl", TICKET))
    question, answer = said(sample)
    assert question.startswith("Gateway does not start\n\nsince the update to 2.13.0 the gateway on 192.168.1.100:7860")
    assert "1234567890" in question
    assert answer == "1. Open `docduet.toml`.\n2. Set `port = 7861`."
    for private in ("48213", "555", "acme.com", "Jane", "regards", "901820", "Hi team"):
        assert private not in question + answer


def test_a_thread_becomes_a_conversation(tmp_path: Path) -> None:
    thread = [
        {"author_role": "agent", "body": "We have received your request."},
        {"author_role": "customer", "body": "Hello,\nthe gateway does not start on my machine."},
        {"author_role": "customer", "body": "It says that the port is taken."},
        {"author_role": "agent", "body": "Set another `port` in docduet.toml.\n\nRegards\nBob"},
        {"author_role": "agent", "body": "He never reads the docs.", "internal": True},
        {"author_role": "customer", "body": "Thanks!"},
    ]
    [sample] = read(lines(tmp_path / "threads.jsonl", {"id": 1, "comments": thread}))
    assert said(sample) == [
        "the gateway does not start on my machine.\n\nIt says that the port is taken.",
        "Set another `port` in docduet.toml.",
    ]


@pytest.mark.parametrize(
    ("code", "lang"), [("", "de"), ("de-AT", "de"), ("German", "de"), ("en", "en"), ("zh_CN", "zh")]
)
def test_the_language_is_told_or_found(tmp_path: Path, code: str, lang: str) -> None:
    answer = "Bitte den Anschluss in der Datei mit den Einstellungen ändern und den Dienst neu starten."
    row = {"question": "Wie ändere ich das?", "answer": answer, "lang": code}
    [sample] = read(lines(tmp_path / "faq.jsonl", row))
    assert sample.lang == lang
    assert gate_of(sample) == ("language" if lang == "zh" else "")


def test_a_tickets_comments_follow_its_description(tmp_path: Path) -> None:
    ticket = {"title": "No start", "description": "The gateway stops at once.", "comments": "see thread"}
    [sample] = read(lines(tmp_path / "a.jsonl", {**ticket, "resolution": "Set `port`."}))
    assert said(sample) == ["No start\n\nThe gateway stops at once.", "Set `port`."]
    answer = {"author_role": "agent", "body": "Set another `port`."}
    [sample] = read(lines(tmp_path / "b.jsonl", {**ticket, "comments": [answer]}))
    assert said(sample) == ["No start\n\nThe gateway stops at once.", "Set another `port`."]
    repeated = {"author_role": "customer", "body": "The gateway stops at once."}
    [sample] = read(lines(tmp_path / "c.jsonl", {**ticket, "comments": [repeated, answer]}))
    assert said(sample) == ["The gateway stops at once.", "Set another `port`."]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("The build 10.0.19045.3693 of 2026-11-03 12:30 uses 1073741824 bytes.", True),
        ("Use ports 8000-8100 and the subnet 10.0.0.0/24.", True),
        ("The server stops. Thanks\nMore below:\n```\nERROR 555-12345\n```", True),
        ("Please remove ticket templates that are older than 30 days.", True),
        ("Call 0800 123 4567 today.", False),
        ("请拨打 010-62345678。", False),
        ("我的手机是 138 1234 5678，谢谢您。", False),
        ("Mail root@example.org.", False),
        ("See case 00123456.", False),
    ],
)
def test_what_counts_as_personal(text: str, kept: bool) -> None:
    assert (cleaned(text) == text) is kept


def test_corrected_answers(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    first = {
        "question": "And how many are kept?",
        "answer": "Two [1].",
        "answer_id": "x",
        "sources": ["w/0.md", "gone"],
    }
    append_feedback(path, Feedback(**first, correction="Wrong"))
    turns = (Turn(role="user", content="What is a red box?"), Turn(role="assistant", content="A box."))
    append_feedback(path, Feedback(**first, correction="Three are kept [1], `a[1]`.", history=turns))
    append_feedback(path, Feedback(question="Good?", answer="Yes."))
    [sample] = read(path, pages=tuple(docs()))
    assert said(sample) == ["What is a red box?", "A box.", "And how many are kept?", "Three are kept, `a[1]`."]
    assert (sample.generator, sample.pages) == ("feedback", ("w/0.md",))
    assert [message.get("loss") for message in sample.messages] == [None, None, False, None, None]


def correction(number: int, use: str, **more: Any) -> Feedback:
    """The ``number``-th correction whose question is for ``use``."""
    made = (
        Feedback(question=f"Where do I set limit {n} of the box?", answer="?", correction=f"In table {n} of box.toml.",
                 answer_id=f"ans_{n}", created_at=n)
        for n in range(1000)
    )  # fmt: skip
    found = [entry for entry in made if use_of(entry) == use]
    return found[number].model_copy(update=more)


def test_a_promoted_correction_is_trained_on_and_one_for_evaluation_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole commands. The held out question is also in an imported file, in other marks, and stays out there too."""
    home = tmp_path / "home"
    monkeypatch.setenv("DOCDUET_HOME", str(home))
    path = home / "feedback.jsonl"
    taught, held, open_ = (correction(n, use) for n, use in ((0, "sft"), (0, "eval"), (1, "sft")))
    rejected = correction(2, "sft", review="rejected")
    for entry in (taught, held, open_, rejected):
        append_feedback(path, entry)
    for entry in (taught, held):
        review(path, [(entry.answer_id, 0)], lambda _: "promoted")
    other = {"question": held.question.upper().rstrip("?"), "answer": "Look into the settings of the box."}
    faq = lines(tmp_path / "faq.jsonl", other, {**ROW, "question": "Who runs the box?"})

    def built(*more: str) -> tuple[list[str], list[dict[str, Any]], str]:
        argv = ["sft", "build", "--out", str(tmp_path / "ds"), "--import", str(faq), "--json", *more]
        done = CliRunner().invoke(app, argv)
        assert done.exit_code == 0, done.output
        names = ("train.jsonl", "val.jsonl")
        rows = [json.loads(line) for name in names for line in (tmp_path / "ds" / name).read_text().splitlines()]
        provenance = [json.loads(line) for line in (tmp_path / "ds" / "provenance.jsonl").read_text().splitlines()]
        rejects = (tmp_path / "ds" / "rejects.jsonl").read_text()
        return [row["messages"][-2]["content"] for row in rows], provenance, rejects

    asked, provenance, rejects = built()
    assert sorted(asked) == sorted([taught.question, "Who runs the box?"])
    assert sorted(row["generator"] for row in provenance) == ["feedback", "import:faq.jsonl"]
    assert "evaluation-overlap" in rejects
    assert "1 corrections wait for a decision" in (tmp_path / "ds" / "card.md").read_text()
    asked, _, _ = built("--import", "feedback")
    assert sorted(asked) == sorted([taught.question, open_.question, "Who runs the box?"])
    asked, _, rejects = built("--no-feedback")
    assert asked == ["Who runs the box?"]
    assert "evaluation-overlap" in rejects
    assert sorted(built("--diff", str(tmp_path / "ds"))[0]) == sorted([taught.question, "Who runs the box?"])
    take_back(path, (taught.answer_id, 0))
    assert built("--diff", str(tmp_path / "ds"))[0] == ["Who runs the box?"]


def test_imports_come_whole_beside_a_mixture_that_knows_nothing_of_them(tmp_path: Path) -> None:
    rows = [{"question": f"Where do I find setting number {n}?", "answer": f"Look into table {n}."} for n in range(9)]
    bad = [{**ROW, "answer": ""}, {**ROW, "answer": "As shown above, see there."}, {**ROW, "url": "nowhere.md"}]
    path = lines(tmp_path / "faq.jsonl", *rows, *bad, rows[0])
    facts = build(docs(), [RuleWriter(), ImportWriter([path])], MIXTURE, Estimate(), 2000, tmp_path / "ds")
    assert facts.as_dict()["samples"]["imported"] == 10  # type: ignore[index]
    assert {reject.gate for reject in facts.rejects if reject.sample.shape == "imported"} == {
        "structure", "standalone", "exact-duplicate",
    }  # fmt: skip
    assert "1 rows name a page" in " ".join(facts.warnings())
    card = (tmp_path / "ds" / "card.md").read_text()
    assert "| imported | all |" in card
    assert "import:faq.jsonl 10" in card


def test_a_mixture_may_give_imports_a_share_and_no_pages_are_needed(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "faq.jsonl", *({"question": f"Where is {n}?", "answer": f"In table {n}."} for n in range(60))
    )
    half = Mixture("m", {"single": 0.8, "imported": 0.2}, repeat=1)
    facts = build(docs(), [RuleWriter(), ImportWriter([path])], half, Estimate(), 2000, None)
    assert facts.mixed.tokens["imported"] / sum(facts.mixed.tokens.values()) == pytest.approx(0.2, abs=0.05)
    alone = build([], [RuleWriter(), ImportWriter([path])], MIXTURE, Estimate(), 2000, None, limit=50)
    assert alone.as_dict()["samples"] == {"imported": 50}
    with pytest.raises(EmptySourceError):
        build([], [RuleWriter(), ImportWriter([])], MIXTURE, Estimate(), 2000, None)


def test_the_command_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    append_feedback(
        tmp_path / "home" / "feedback.jsonl", Feedback(question="Where is it?", answer="?", correction="Here.")
    )
    (tmp_path / "faq.csv").write_text("Frage;Antwort\nWhere do I find the settings?;In docduet.toml.\n")
    argv = ["sft", "build", "--out", str(tmp_path / "ds"), "--json", "--import", "feedback"]
    argv += ["--import", str(tmp_path / "faq.csv"), "--column", "question=Frage", "--column", "answer=Antwort"]
    done = CliRunner().invoke(app, argv)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["samples"] == {"imported": 2}

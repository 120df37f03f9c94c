"""Reading tasks of docduet-tiny, on a handful of made-up pages: every answer stands in the passages that it cites."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from data.prompts import REFUSAL

RECIPE = Path(__file__).parents[1] / "recipes" / "docduet-tiny"
THINGS = ("cache", "index", "journal", "archive", "queue", "mirror", "ledger", "snapshot", "registry", "spool")


def english(thing: str, at: int) -> str:
    return f"""The {thing} service stores the {thing} entries of one site. It was written for small machines.

## Setting up the {thing}

To set up the {thing}, follow these steps:

1. Install the package `{thing}-tools`.
2. Create the folder `/srv/{thing}`.
3. Start the {thing} daemon with `{thing}ctl start`.

The {thing} daemon listens on port {4000 + at}. You can change the {thing} port by editing the file `/etc/{thing}.conf`.
If the {thing} folder is missing, the daemon creates it with mode {700 + at}.

## Options of the {thing}

- `{thing}_limit`: Largest number of {thing} entries that are kept. Default is {100 + at}.
- `{thing}_path`: Folder in which the {thing} daemon writes its files. Default is `/srv/{thing}`.

The option `--{thing}-verbose` prints every {thing} entry that is read. The {thing} daemon cannot share its folder with others.
"""


def chinese(thing: str, at: int) -> str:
    return f"""{thing}服务用于保存一个站点的{thing}条目。

## 安装{thing}

要安装{thing}，请先安装软件包 `{thing}-tools`，然后启动守护进程。如果{thing}目录不存在，守护进程会自动创建该目录。

## {thing}的设置

{thing}守护进程支持同时处理{at + 2}个请求。您可以使用`{thing}ctl`来查看{thing}的运行状态。{thing}条目存放在 `/srv/{thing}` 目录中。
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"package": package, "title": f"The {thing}" if lang == "en" else f"{thing} 说明", "lang": lang, "split": split,
         "body": write(thing, at), "licence": "MIT", "faq": False}
        for package, split in (("made-up", "train"), ("kept-apart", "heldout"))
        for lang, write in (("en", english), ("zh", chinese))
        for at, thing in enumerate(THINGS)
    ]  # fmt: skip
    pages = folder / "pages.jsonl"
    pages.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    for _ in range(2):  # the second time everything is there already
        argv = [sys.executable, str(RECIPE / "03_tasks.py"), "--pages", str(pages), "--out", str(folder / "out")]
        subprocess.run([*argv, "--tasks", "400", "--jobs", "1"], check=True, capture_output=True)
    return folder / "out"


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    sys.path.insert(0, str(RECIPE))
    yield
    sys.path.remove(str(RECIPE))


def rows(folder: Path, stem: str) -> list[dict[str, Any]]:
    from reading.files import read_rows

    return [row for path in sorted(folder.glob(f"{stem}-[0-9][0-9].jsonl.xz")) for row in read_rows(path)]


def test_answers_stand_in_the_passages_that_they_cite(made: Path) -> None:
    from reading.show import squeeze

    passages = {row["id"]: row for row in rows(made, "passages")}
    tasks = rows(made, "tasks")
    assert len(tasks) > 250
    said = 0
    for task in tasks:
        assert 1 <= len(task["passages"]) <= 7
        if task["answer"] in REFUSAL.values():
            assert task["kind"].startswith("refusal")
            continue
        numbers = [int(number) for number in re.findall(r"\[(\d+)\]", task["answer"])]
        assert numbers, task
        assert all(1 <= number <= len(task["passages"]) for number in numbers)
        if task["kind"].startswith("fact"):
            shown = "".join(squeeze(passages[task["passages"][number - 1]]["text"]) for number in numbers)
            assert squeeze(re.sub(r"\s?\[\d+\]", "", task["answer"])) in shown, task
            said += 1
    assert said > 80


def test_both_languages_all_sorts_and_every_split(made: Path) -> None:
    tasks, held_out = rows(made, "tasks"), rows(made, "heldout-tasks")
    kinds = {task["kind"] for task in tasks}
    assert {task["lang"] for task in tasks} == {"en", "zh"}
    assert {"two", "turns", "heading", "refusal-missing", "refusal-attribute", "refusal-foreign"} <= kinds
    refused = sum(task["kind"].startswith("refusal") for task in tasks) / len(tasks)
    assert 0.08 < refused < 0.4
    assert {task["split"] for task in held_out} == {"heldout"}
    assert not {task["question"] for task in rows(made, "chat")} & {task["question"] for task in held_out}
    assert all(
        turn["role"] == ("user", "assistant")[at % 2] for task in tasks for at, turn in enumerate(task["history"])
    )


def test_a_missing_passage_is_really_missing(made: Path) -> None:
    """Under a refusal for a missing passage no shown one says the definition that was asked about."""
    passages = {row["id"]: row for row in rows(made, "passages")}
    looked_at = 0
    for task in rows(made, "tasks"):
        asked = re.search(r"`?(\w+_(?:limit|path))`?", task["question"])
        if task["kind"] == "refusal-missing" and asked and not task["history"]:
            looked_at += 1
            assert not any(f"`{asked[1]}`:" in passages[one]["text"] for one in task["passages"]), task
    assert looked_at


def test_chat_tasks_have_no_passages_and_right_sums(made: Path) -> None:
    tasks = rows(made, "chat")
    assert {task["lang"] for task in tasks} == {"en", "zh"}
    assert all(task["passages"] == [] and task["answer"].strip() for task in tasks)
    from reading.chat import tasks as chat_tasks

    sums = [re.fullmatch(r"(\d+) ([-+*]) (\d+) = (\d+)[.。]", one.answer) for one in chat_tasks("en", 300, 1)]
    done = [found for found in sums if found]
    assert len(done) > 20
    for found in done:
        a, sign, b, result = int(found[1]), found[2], int(found[3]), int(found[4])
        assert {"+": a + b, "-": a - b, "*": a * b}[sign] == result


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The `-v` option prints the version of the program.", "Which option prints the version of the program?"),
        ("If the file is missing, the server creates an empty one.", "What happens if the file is missing?"),
        ("You can add a user by running `useradd`.", "How can I add a user?"),
        ("The log is written to the file after each request.", "When is the log written?"),
        ("The default port is 8080.", "What is the default port?"),
    ],
)
def test_a_sentence_gives_its_question(sentence: str, question: str) -> None:
    from reading.statements import questions

    assert question in [one.question for one in questions(sentence)]


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("缓存服务用于保存最近的查询结果。", "缓存服务有什么用？"),
        ("如果磁盘已满，请删除旧的日志文件。", "磁盘已满怎么办？"),
        ("守护进程支持多个并发请求。", "守护进程支持什么？"),
    ],
)
def test_a_chinese_sentence_gives_its_question(sentence: str, question: str) -> None:
    from reading.statements_zh import questions

    assert question in [one.question for one in questions(sentence)]


def test_markers_stand_after_each_sentence_and_not_in_code() -> None:
    from reading.show import marked

    assert marked("One. Two.", 2) == "One. [2] Two. [2]"
    assert marked("Do it. Run:\n\n```\nls [x]\n```", 1) == "Do it. [1] Run:\n\n```\nls [x]\n```"
    assert marked("Run:\n\n```\nls\n```", 3) == "Run: [3]\n\n```\nls\n```"
    assert marked("- a\n- b", 1) == "- a [1]\n- b [1]"
    assert marked("1. Stop it. Wait.\n2. Go on.", 2) == "1. Stop it. [2] Wait. [2]\n2. Go on. [2]"


def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_tasks", RECIPE / "score_tasks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scores_by_hand() -> None:
    score = scorer().score
    tasks = [
        {"kind": "fact-act", "lang": "en", "answer": "The port is 80. [1]"},
        {"kind": "fact-act", "lang": "en", "answer": "The port is 80. [2]"},
        {"kind": "refusal-missing", "lang": "en", "answer": REFUSAL["en"]},
        {"kind": "refusal-missing", "lang": "en", "answer": REFUSAL["en"]},
    ]
    found = score(tasks, ["The port is 80. [1]", "port 80 [1]", REFUSAL["en"], "The port is 80. [1]"])["all"]
    assert found["f1"] == pytest.approx((1 + 2 * 2 / 6) / 2)
    assert found["exact"] == 0.5
    assert found["citation_precision"] == 0.5
    assert found["citation_recall"] == 0.5
    assert found["refusal_precision"] == 1.0
    assert found["refusal_recall"] == 0.5


def test_the_peer_quotes_the_sentence_with_the_words(made: Path) -> None:
    module = scorer()
    passages = {row["id"]: row for row in rows(made, "heldout-passages")}
    tasks = [task for task in rows(made, "heldout-tasks") if task["kind"].startswith("fact")]
    answers = [module.baseline(task, passages) for task in tasks]
    assert tasks
    assert module.score(tasks, answers)["all"]["f1"] > 0.4


def test_the_same_seed_gives_the_same_tasks(made: Path) -> None:
    from reading.foreign import foreign_questions

    assert foreign_questions("en", random.Random(1)) == foreign_questions("en", random.Random(1))

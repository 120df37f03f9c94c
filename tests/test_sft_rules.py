"""The rules: what they find on a page, what they ask, and that the answers are the page's own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.handbook import FOLDER
from data.prompts import REFUSAL, sft_messages
from data.sentences import sentences
from data.types import Page
from sft.gates import overlap
from sft.rules.blocks import parse
from sft.rules.comparison import KINDRED
from sft.rules.comparison import kindred as pairs
from sft.rules.corpus import Corpus
from sft.rules.facts import definitions, passages, records
from sft.rules.language import Heading, language
from sft.rules.text import clean, plain
from sft.rules.writer import RuleWriter
from sft.types import Sample

ENGLISH = """Intro to the tool.

## Training arguments

- 🔥learning_rate: The learning rate of the optimizer. Default is 1e-4.
  - Note: lower it for full training.
- warmup_ratio: Ratio of warmup steps. Default is 0.05.
- save_steps: Number of steps between two checkpoints. Optional values are 'auto' and a number.
- eval_steps: Number of steps between two evaluations. Default is `None`, otherwise the same as save_steps.
- Note: this is no option.
- See also: [the guide](https://example.com/guide) for more.

## Installing the tool

1. Download the archive:

```bash
curl -O https://example.com/tool.tar.gz
```

2. Unpack it and run the installer:

```bash
tar xf tool.tar.gz && ./install
```

## Common problems

If the installer fails with a permission error, run it as root or choose a folder of your own with `--prefix`.

To resume training from a checkpoint, set `--resume_from_checkpoint` to the folder that was saved last.

## Environment

| Variable | Default | Description |
|---|---|---|
| `TOOL_HOME` | `~/.tool` | Where the tool keeps its state and caches |
| `TOOL_PORT` | `80` | The port that the web server listens on |
"""

CHINESE = """这是工具的简介，说明它能做什么。

## 训练参数

- 🔥learning_rate: 优化器的学习率，默认为1e-4。
  - 注意：全参数训练时请调低。
- warmup_ratio: warmup步数所占的比例。默认为0.05。
- save_steps: 两次保存之间的步数。可选值为'auto'或数字。

## 安装依赖

先安装 Python，然后执行下面的命令安装全部依赖：

```bash
pip install tool
```

## 常见报错

如果训练时出现显存不足的错误，可以减小批次大小，或者打开梯度检查点来降低显存占用。
"""


def page(body: str, lang: str = "en", title: str = "Widget Trainer", url: str = "widget-docs/train.md") -> Page:
    return Page(url, title, body, lang)


def drafts(*pages: Page) -> list[Sample]:
    return list(RuleWriter().drafts(pages))


@pytest.fixture(scope="module")
def handbook() -> list[Page]:
    paths = sorted(FOLDER.glob("*/*.md"))
    texts = [(path, path.read_text(encoding="utf-8").split("\n", 1)) for path in paths]
    return [
        Page(path.relative_to(FOLDER).as_posix(), title.strip("# "), body.strip(), path.parent.name)
        for path, (title, body) in texts
    ]


@pytest.fixture(scope="module")
def of_handbook(handbook: list[Page]) -> list[Sample]:
    return drafts(*handbook)


def test_sections_blocks_and_facts_are_slices_of_the_page() -> None:
    one = page(ENGLISH)
    root = parse(one)
    assert [section.heading for section in root.walk()][1:] == [
        "Training arguments",
        "Installing the tool",
        "Common problems",
        "Environment",
    ]
    for section in root.walk():
        for block in section.blocks:
            assert one.body[block.start : block.end].strip("\n").rstrip() == block.text
            for item in block.items:
                assert item.text.split()[0] in one.body[item.start : item.end]


def test_a_bold_line_heads_what_follows_it() -> None:
    root = parse(
        page("## Parameters\n\n**Training**:\n\n- lr: the rate of learning\n\n**Data**:\n\n- path: where the data is\n")
    )
    parameters = root.children[0]
    assert [(child.heading, child.path) for child in parameters.children] == [
        ("Training", ("Parameters",)),
        ("Data", ("Parameters",)),
    ]


def test_definitions_of_bullets_and_tables() -> None:
    document = Corpus([page(ENGLISH)]).documents[0]
    found = {one.term: one for one in definitions(document)}
    assert list(found) == ["learning_rate", "warmup_ratio", "save_steps", "eval_steps", "TOOL_HOME", "TOOL_PORT"]
    assert found["learning_rate"].rest == "- Note: lower it for full training."
    assert found["TOOL_PORT"].default == "`80`"
    assert found["TOOL_PORT"].support.endswith("| `TOOL_PORT` | `80` | The port that the web server listens on |")


def test_records_need_unlike_keys_and_skip_empty_cells() -> None:
    body = "## Models\n\n| Model | Size | Chat |\n|---|---|---|\n| Small | 1B | ✔ |\n| Large | 9B | - |\n"
    document = Corpus([page(body)]).documents[0]
    assert [(one.key, one.fields) for one in records(document)] == [
        ("Small", (("Size", "1B"), ("Chat", "yes"))),
        ("Large", (("Size", "9B"),)),
    ]
    twice = Corpus([page(body.replace("Large", "Small"))]).documents[0]
    assert list(records(twice)) == []


def test_a_paragraph_that_ends_in_a_colon_brings_what_it_introduces() -> None:
    document = Corpus([page("Run this:\n\n```bash\nmake\n```\n\nAnd more.\n")]).documents[0]
    assert [one.text for one in passages(document)] == ["Run this:\n\n```bash\nmake\n```", "And more."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("🔥lr: the rate", "lr: the rate"),
        ("Uses LoRA. For details, see here.", "Uses LoRA."),
        ("Uses LoRA (see here for why).", "Uses LoRA."),
        ("See [here](https://example.com).", "See [here](https://example.com)."),
        ("支持多种格式。具体请参考自定义数据集文档。", "支持多种格式。"),
        ("```\nsee here 🔥\n```", "```\nsee here 🔥\n```"),
        ("Text.\n\n---\n", "Text."),
    ],
)
def test_cleaning_drops_pictures_and_pointers_to_nowhere_but_never_touches_code(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_cleaning_takes_the_padding_out_of_tables() -> None:
    table = "| Name      |   Default |\n|:----------|----------:|\n| `a  | b` |        no |"
    assert clean(table) == "| Name | Default |\n|:---|---:|\n| `a | b` | no |"
    assert clean("a  |  b ---- c\n```\n|  x  |\n```") == "a  |  b ---- c\n```\n|  x  |\n```"


def test_sentences_are_cut_outside_code_and_abbreviations() -> None:
    assert sentences("Use it, e.g. This one. Then `a. B` ends.") == ["Use it, e.g. This one.", "Then `a. B` ends."]
    assert sentences("先安装。再运行。") == ["先安装。", "再运行。"]
    assert plain("**Use** [`x`](https://a.b) &amp; y") == "Use x & y"


@pytest.mark.parametrize(
    ("lang", "heading", "context", "expected"),
    [
        ("en", "Q3: How to export a model?", "", "export a model"),
        ("en", "Installing the tool", "", "install the tool"),
        ("en", "Running benchmarks", "", "run benchmarks"),
        ("en", "Parameters", "FIPO", "FIPO"),
        ("en", "Option 2: Installing the tool", "", "install the tool"),
        ("zh", "安装依赖", "", "安装依赖"),
        ("zh", "第一种：安装依赖", "", "安装依赖"),
        ("zh", "方法2：安装依赖", "", "安装依赖"),
        ("zh", "LoRA训练", "", "LoRA训练"),
        ("zh", "参数", "FIPO", "FIPO"),
    ],
)
def test_headings_become_questions(lang: str, heading: str, context: str, expected: str) -> None:
    asked = language(lang).heading(Heading(heading, context, False, False, "seed"))
    assert asked is not None
    assert asked.questions
    assert all(expected in question for question in asked.questions)


@pytest.mark.parametrize(
    ("lang", "heading"),
    [("en", "Parameters"), ("zh", "参数"), ("en", "References"), ("zh", "注意"), ("en", "What this means for (it")],
)
def test_headings_that_say_nothing_by_themselves_give_no_question(lang: str, heading: str) -> None:
    asked = language(lang).heading(Heading(heading, "", False, False, "seed"))
    assert asked is None or not asked.questions


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        (
            "en",
            "Whether to use flash attention. Default is False.",
            "which parameter controls whether to use flash attention?",
        ),
        (
            "en",
            "The maximum number of checkpoints kept.",
            "which parameter sets the maximum number of checkpoints kept?",
        ),
        ("zh", "是否使用双重量化，默认为True。", "哪个参数控制是否使用双重量化？"),
    ],
)
def test_which_option_questions(lang: str, text: str, expected: str) -> None:
    assert language(lang).reverse(text, "parameter" if lang == "en" else "参数") == (expected,)


def test_a_metric_is_read_not_set() -> None:
    english, chinese = language("en"), language("zh")
    assert (english.noun("Importance statistics", "mean"), chinese.noun("IS 权重统计", "mean")) == ("metric", "指标")
    assert english.reverse("The ratio of clipped samples.", "metric") == (
        "which metric shows the ratio of clipped samples?",
    )
    assert chinese.reverse("被截断样本的比例", "指标") == ("哪个指标表示被截断样本的比例？",)


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        ("en", "The rate. Default is 1e-4.", "1e-4"),
        ("en", "Default is `True` for inference, and `False` for training.", ""),
        ("en", "Defaults to True. If unset it defaults to None.", ""),
        ("zh", "学习率，默认为1e-4。", "1e-4"),
        ("zh", "默认为None，否则为True。", ""),
    ],
)
def test_a_default_is_given_only_where_there_is_one(lang: str, text: str, expected: str) -> None:
    assert language(lang).default(text) == expected


def test_goals_symptoms_and_differences_of_sentences() -> None:
    english, chinese = language("en"), language("zh")
    assert english.goal("To resume training from a checkpoint, set `x`.") == "resume training from a checkpoint"
    assert english.goal("To this end, we do it.") == ""
    assert (
        english.symptom("If the installer fails with an error, run it as root.") == "The installer fails with an error"
    )
    assert english.symptom("When reading models with `--x`, it is used.") == ""
    assert english.difference("The difference between `a` and `b` is size.") == ("`a`", "`b`")
    assert chinese.goal("如果想要导出合并后的权重，请设置`x`。") == "导出合并后的权重"
    assert chinese.symptom("如果训练时出现显存不足的错误，可以减小批次。") == "训练时出现显存不足的错误"


@pytest.mark.parametrize(("body", "lang"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_one_page_gives_every_shape_it_has_matter_for(body: str, lang: str) -> None:
    samples = drafts(page(body, lang, "Widget Trainer" if lang == "en" else "组件训练器"))
    shapes = {sample.shape for sample in samples}
    assert {"single", "how-to", "broad", "multi-turn", "troubleshooting", "whole-page"} - shapes <= {"broad"}
    assert all(sample.messages[0] == sft_messages("", (), lang)[0] for sample in samples if sample.shape != "raft")


def test_a_how_to_holds_all_steps_and_commands() -> None:
    samples = [one for one in drafts(page(ENGLISH)) if one.shape == "how-to" and "install" in one.questions[0]]
    assert samples
    for sample in samples:
        assert "curl -O" in sample.answers[0]
        assert "./install" in sample.answers[0]


def test_later_turns_depend_on_the_earlier_ones(of_handbook: list[Sample]) -> None:
    talks = [sample for sample in of_handbook if sample.shape == "multi-turn"]
    assert talks
    assert all(2 <= len(sample.questions) <= 4 for sample in talks)
    assert all(len(question) < 90 for sample in talks for question in sample.questions[1:])


def test_made_up_options_stand_nowhere(of_handbook: list[Sample], handbook: list[Page]) -> None:
    text = "\n".join(one.body for one in handbook).lower()
    asked = [sample for sample in of_handbook if sample.shape == "unanswerable"]
    assert asked
    for sample in asked:
        assert sample.answers[0] in REFUSAL.values()
        named = sample.questions[0].split("`")[1::2]
        assert all(name.lower() not in text for name in named)


def test_raft_cites_the_passage_that_answers(of_handbook: list[Sample]) -> None:
    from re import findall

    samples = [sample for sample in of_handbook if sample.shape == "raft"]
    assert samples
    for sample in samples:
        system, answer = sample.messages[0]["content"], sample.answers[0]
        if answer in REFUSAL.values():
            continue
        number = findall(r"\[(\d)\]", answer)[0]
        passage = system.split(f"\n[{number}] ")[1].split("\n\n[")[0]
        assert overlap(answer, passage) > 0.5


def test_the_same_pages_give_the_same_samples(handbook: list[Page], of_handbook: list[Sample]) -> None:
    few = [one for one in handbook if "config" in one.url or "faq" in one.url]
    assert [one.id for one in drafts(*few)] == [one.id for one in drafts(*few)]
    assert len({sample.id for sample in of_handbook}) == len(of_handbook)


def test_answers_of_the_handbook_are_its_words(of_handbook: list[Sample]) -> None:
    assert len(of_handbook) > 300
    checked = [
        one for one in of_handbook if one.support and one.shape in ("single", "how-to", "broad", "troubleshooting")
    ]
    weak = [one for one in checked if overlap("\n".join(one.answers), one.support) < 0.5 and "- " not in one.answers[0]]
    assert len(weak) <= len(checked) * 0.02


def test_a_page_of_two_megabytes_is_read_like_any_other() -> None:
    part = "## Part {n}\n\n- option_{n}: The number of widgets in part {n}. Default is {n}.\n\n" + "word " * 660
    body = "\n\n".join(part.format(n=n) for n in range(600))
    assert len(body) > 2_000_000
    samples = drafts(page(body))
    assert {f"`option_{n}`" for n in range(600)} <= {word for one in samples for word in one.answers[0].split(":")}
    assert not [one for one in samples if len(one.answers[0]) > len(body) // 2 and one.shape != "whole-page"]


def test_pages_in_other_languages_and_empty_ones_give_nothing() -> None:
    assert drafts(page("Ein Text auf Deutsch.", "de"), page("", url="empty.md")) == []


@pytest.mark.real
def test_the_ms_swift_docs_give_1500_samples(tmp_path: Path) -> None:
    corpus = Path(__file__).parents[2] / "shared" / "corpora" / "ms-swift-docs"
    if not corpus.is_dir():
        pytest.skip(f"no corpus at {corpus}")
    pages = [
        Page(
            path.relative_to(corpus).as_posix(),
            path.stem,
            path.read_text(encoding="utf-8"),
            path.relative_to(corpus).parts[0],
        )
        for path in sorted(corpus.rglob("*.md"))
    ]
    assert len(drafts(*pages)) >= 1500


def test_kindred_names_of_a_long_list_are_not_all_compared() -> None:
    """20,000 options with one stem would make 200 million pairs."""
    body = "\n".join(
        f"- {'abcdefghijklmnopqrst'[n % 20]}{n}_box: The number of things in box {n}, which are kept."
        for n in range(400)
    )
    corpus = Corpus([Page("a.md", "Boxes", body)], "")
    found = list(definitions(corpus.documents[0]))
    assert len(found) == 400
    assert 0 < len(list(pairs(found))) <= KINDRED**2

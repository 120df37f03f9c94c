"""Rewording by rules: names stay, the same chance gives the same words, and datasets gain wordings, not answers."""

from __future__ import annotations

import random
import re

import pytest

from data.types import Page
from sft.rules.lexicon import gerund, lexicon, participle, plural
from sft.rules.paraphrase import paraphrases
from sft.rules.writer import RuleWriter, reworded

ENGLISH = (
    "How do I set `--max-len` to 4096 in vLLM?",
    "What does `save_steps` do?",
    "What is the difference between `vit_lr` and `aligner_lr`?",
    "What is the default of `warmup_ratio`?",
    "What happens if the disk at /var/lib is full?",
    'In the "Network" dialog, how do I add a proxy for HTTP_PROXY?',
    "Which option controls whether the cache is kept for 30 days?",
    "My run stops with `OSError: [Errno 28]`. What should I do?",
)
CHINESE = (
    "怎么把 `--max-len` 设置为 4096？",
    "`save_steps`是做什么用的？",
    "`vit_lr`和`aligner_lr`有什么区别？",
    "warmup_ratio的默认值是多少？",
    "如果 /var/lib 所在的磁盘满了会怎样？",
    "在“网络”对话框里，怎么添加 HTTP_PROXY 代理？",
    "可以删除 30 天之前的日志吗？",
)
_NAMES = re.compile(r"`[^`]+`|\"[^\"]+\"|“[^”]+”|/var/lib|HTTP_PROXY|vLLM|\d+")


@pytest.mark.parametrize(("lang", "questions"), [("en", ENGLISH), ("zh", CHINESE)])
def test_names_options_and_numbers_stay(lang: str, questions: tuple[str, ...]) -> None:
    for question in questions:
        found = paraphrases(question, lang, random.Random(1), 30)
        assert len(found) >= 12, question
        for said in found:
            assert sorted(_NAMES.findall(said)) == sorted(_NAMES.findall(question)), said
            assert not re.search(r"[\ue000-\uf8ff{}]", said), said
        assert len(set(found)) == len(found)
        assert question not in found


@pytest.mark.parametrize(
    ("lang", "question"), [("en", "How do I create an index\uf0c1?"), ("zh", "怎么创建索引\ue000？")]
)
def test_private_characters_of_the_docs_stay(lang: str, question: str) -> None:
    """Icon fonts leave them behind in headings."""
    icon = re.findall(r"[\ue000-\uf8ff]", question)
    found = paraphrases(question, lang, random.Random(1), 8)
    assert len(found) == 8
    assert all(re.findall(r"[\ue000-\uf8ff]", said) == icon for said in found)


def test_the_same_chance_gives_the_same_words() -> None:
    first = paraphrases(ENGLISH[0], "en", random.Random(3), 8)
    assert first == paraphrases(ENGLISH[0], "en", random.Random(3), 8)
    assert first != paraphrases(ENGLISH[0], "en", random.Random(4), 8)


def test_wordings_differ_in_form_and_in_words() -> None:
    """Not one frame with a comma moved: most share less than half of their words with the question."""
    found = paraphrases("How do I delete an old backup?", "en", random.Random(2), 40)
    asked = set("how do i delete an old backup".split())
    shared = [len(asked & set(re.findall(r"[a-z]+", said.lower()))) / len(asked) for said in found]
    assert len(found) == 40
    assert sum(share <= 0.6 for share in shared) >= 14
    assert any("deleting" in said.lower() or "removing" in said.lower() for said in found)
    assert any(not said.endswith(("?", ".", "!")) for said in found)


def test_what_is_all_name_keeps_it() -> None:
    """Nothing but manner is added to a lone name."""
    assert all("`x`" in said for said in paraphrases("`x`", "en", random.Random(1), 5))
    assert paraphrases("", "en", random.Random(1), 5) == []


def test_lexicons_are_well_formed() -> None:
    sizes = {lang: sum(map(len, lexicon(lang).values())) for lang in ("en", "zh")}
    assert all(size >= 400 for size in sizes.values()), sizes
    for lang in ("en", "zh"):
        for table in lexicon(lang).values():
            for word, others in table.items():
                assert word not in others
                assert all(other and other == other.strip() for other in others), word
    assert not re.search(r"[A-Za-z]{4}", "".join(lexicon("zh")["verbs"]))


def test_inflection() -> None:
    assert [gerund(verb) for verb in ("set up", "create", "stop", "copy")] == [
        "setting up",
        "creating",
        "stopping",
        "copying",
    ]
    assert [participle(verb) for verb in ("create", "copy", "run", "drop")] == ["created", "copied", "run", "dropped"]
    assert [plural(noun) for noun in ("directory", "way", "switch", "option")] == [
        "directories",
        "ways",
        "switches",
        "options",
    ]


PAGE = Page(
    "tool/options.md",
    "Tool options",
    "## Training arguments\n\n- save_steps: Number of steps between two checkpoints. Default is 500.\n"
    "- warmup_ratio: Ratio of warmup steps to all steps of a run. Default is 0.05.\n",
)


def test_datasets_gain_wordings_of_the_same_answers() -> None:
    once = list(RuleWriter().drafts([PAGE]))
    more = list(RuleWriter(paraphrases=2).drafts([PAGE]))
    added = [sample for sample in more if sample not in once]
    assert [sample for sample in more if sample in once] == once
    assert len(added) >= len(once)
    for sample in added:
        origin = next(one for one in once if one.answers == sample.answers and one.shape == sample.shape)
        assert sample.questions != origin.questions
        assert sample.family == origin.family  # so that the split keeps both on one side
        assert sample.support == origin.support
    assert more == list(RuleWriter(paraphrases=2).drafts([PAGE]))


def test_whole_pages_are_asked_for_once() -> None:
    whole = [sample for sample in RuleWriter().drafts([PAGE]) if sample.shape == "whole-page"]
    assert whole
    assert not [one for sample in whole for one in reworded(sample, 3)]

"""The prompts, in one place: what the RAG arm asks the engine is what the SFT data are written with.

Everything here is a pure function from plain values to OpenAI-style message lists. The passages come first and the
question last, so that an engine's prefix cache pays for repeated passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict


class Message(TypedDict):
    """One OpenAI chat message."""

    role: str
    content: str


class Excerpt(Protocol):
    """What a prompt needs of a passage."""

    @property
    def title(self) -> str: ...
    @property
    def heading_path(self) -> tuple[str, ...]: ...
    @property
    def text(self) -> str: ...


SYSTEM = {
    "en": (
        "You answer questions about a product from its documentation. Use only the numbered passages. "
        "After each sentence put the number of the passage it comes from, like [1]. "
        "Write complete answers: all the steps, in order, and every value exactly as it stands in the passage. "
        "If the passages do not hold the answer, say exactly: {refusal}"
    ),
    "zh": (
        "你根据产品文档回答问题。只使用编号的段落。每句话后面写上它来自的段落编号，例如 [1]。"
        "回答要完整：按顺序写出全部步骤，数值与段落中完全一致。如果段落中没有答案，请只回答：{refusal}"
    ),
}

BASE_SYSTEM = {
    "en": "You are a helpful assistant. Answer the question completely.",
    "zh": "你是一个乐于助人的助手。请完整地回答问题。",
}

REFUSAL = {
    "en": "I could not find this in the documentation.",
    "zh": "文档中没有找到相关内容。",
}

REWRITE = {
    "en": (
        "Rewrite the last question so that it can be understood without the conversation. "
        "Keep names, options and codes as they are. Answer with the rewritten question only."
    ),
    "zh": "请改写最后一个问题，使其脱离对话也能看懂。名称、选项和代码保持不变。只输出改写后的问题。",
}

ANSWERABLE = {
    "en": "Do the passages hold the answer to this question? Say yes or no, nothing else.\n\n{question}",
    "zh": "段落中有这个问题的答案吗？只回答“是”或“否”。\n\n{question}",
}

TRANSLATE = {
    "en": (
        "Translate the question into English. Keep names, options and codes as they are. "
        "Answer with the translation only."
    ),
    "zh": "请把问题翻译成中文。名称、选项和代码保持不变。只输出译文。",
}


def prompt_lang(lang: str) -> str:
    """The language a prompt is written in: Chinese for Chinese questions, else English."""
    return "zh" if lang.startswith("zh") else "en"


def refusal_text(lang: str) -> str:
    """The one sentence that says "not in the docs"."""
    return REFUSAL[prompt_lang(lang)]


def passages_block(passages: Sequence[Excerpt]) -> str:
    """The numbered passages as they stand in the prompt, numbers from 1."""
    blocks = []
    for number, passage in enumerate(passages, start=1):
        heading = " > ".join([passage.title, *passage.heading_path])
        blocks.append(f"[{number}] {heading}\n{passage.text.strip()}")
    return "\n\n".join(blocks)


def rag_messages(
    question: str,
    passages: Sequence[Excerpt],
    history: Sequence[Message] = (),
    lang: str = "en",
    instructions: str = "",
) -> list[Message]:
    """System prompt with the passages, the earlier turns, the question. ``instructions`` are the application's own."""
    which = prompt_lang(lang)
    system = "\n\n".join(filter(None, [SYSTEM[which].format(refusal=REFUSAL[which]), instructions]))
    heading = {"en": "Passages:", "zh": "段落："}[which]
    return [
        Message(role="system", content=f"{system}\n\n{heading}\n\n{passages_block(passages)}"),
        *history,
        Message(role="user", content=question),
    ]


def answerable_messages(
    question: str,
    passages: Sequence[Excerpt],
    history: Sequence[Message] = (),
    lang: str = "en",
    instructions: str = "",
) -> list[Message]:
    """Ask the engine whether the passages answer: begins as ``rag_messages`` does, so that the prefix is read once."""
    asked = ANSWERABLE[prompt_lang(lang)].format(question=question)
    return [*rag_messages(question, passages, history, lang, instructions)[:-1], Message(role="user", content=asked)]


def base_messages(
    question: str, history: Sequence[Message] = (), lang: str = "en", instructions: str = ""
) -> list[Message]:
    """The question with no passages. ``instructions`` take the place of the default system prompt."""
    system = instructions or BASE_SYSTEM[prompt_lang(lang)]
    return [Message(role="system", content=system), *history, Message(role="user", content=question)]


def sft_messages(question: str, history: Sequence[Message] = (), lang: str = "en", system: str = "") -> list[Message]:
    """What the fine-tuned model is asked, without passages and without thinking (``enable_thinking: false``).

    ``system``: what a checkpoint's manifest says that it was trained with; "" takes today's.

    The one prompt that the training data and the ``sft`` arm share: a model that is asked in other words than it was
    trained with answers worse.
    """
    return base_messages(question, history, lang, system)


def rewrite_messages(question: str, history: Sequence[Message], lang: str = "en") -> list[Message]:
    """Ask the engine for a standalone question."""
    turns = "\n".join(f"{turn['role']}: {turn['content'][:2000]}" for turn in history)
    return [
        Message(role="system", content=REWRITE[prompt_lang(lang)]),
        Message(role="user", content=f"{turns}\nuser: {question}"),
    ]


def translate_messages(question: str, lang: str) -> list[Message]:
    """Ask the engine for the question in ``lang``."""
    return [
        Message(role="system", content=TRANSLATE[prompt_lang(lang)]),
        Message(role="user", content=question),
    ]

"""What needs no weighing: greetings, and questions about something that must be looked up by its exact name.

Pure, English and Chinese. A greeting or thanks gets a fixed friendly reply and costs no engine; an option, an error
code, a version number or the name of one of several products speaks for the docs: a model that recalls such things by
heart gets them nearly right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from data.prompts import prompt_lang
from rag.labels import LabelCount, values

Talk = Literal["greeting", "thanks", "farewell"]

REPLIES: dict[Talk, dict[str, str]] = {
    "greeting": {
        "en": "Hello! Ask me anything about the product: I answer from its documentation.",
        "zh": "您好！有关产品的问题都可以问我，我会根据文档回答。",
    },
    "thanks": {"en": "You're welcome! Ask on if anything is open.", "zh": "不客气！还有问题请继续问。"},
    "farewell": {"en": "Goodbye! Come back any time.", "zh": "再见！随时欢迎再来。"},
}

SHOWN = 3
"""Names that a reason lists."""

_LEAD = r"(?:(?:ok|okay|great|perfect|nice|cool|awesome|excellent|good|got it|all right|alright|yes)\b[\s,.!]*)*"
_TAIL = r"(?:\s+(?:there|all|everyone|everybody|team|again|docduet|assistant|bot|and welcome))*"
_ENGLISH: dict[Talk, str] = {
    "greeting": rf"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day)|howdy){_TAIL}"
    r"|how are you(?: doing)?(?: today)?|nice to meet you",
    "thanks": _LEAD
    + r"(?:many thanks|thanks|thank you|thx|ty|cheers|much appreciated)(?:\s+(?:a lot|so much|very much|a bunch|again|"
    r"for (?:the|your|all the|all your) help|for (?:that|this|helping)|everyone|all|docduet))*"
    r"(?:[\s,.!]+(?:that (?:helps|helped|works|worked|solved it)|it works(?: now)?|bye|goodbye))?",
    "farewell": _LEAD + r"(?:bye|bye bye|goodbye|good night|see you(?: later| soon)?|have a (?:nice|good|great) \w+)",
}
_SOFT = r"[呀啊哦呢吧啦了哈～~]*"
_CHINESE: dict[Talk, str] = {
    "greeting": rf"(?:你好|您好|大家好|嗨|哈喽|哈啰|早上好|上午好|中午好|下午好|晚上好|早安|在吗|在不在|有人吗)"
    rf"{_SOFT}吗?",
    "thanks": rf"(?:(?:好的?|明白|知道|太好|收到|解决|行|可以|嗯)[了啦]?[\s，,。.！!]*)*"
    rf"(?:非常感谢|十分感谢|太感谢|感谢|谢谢|多谢|谢了|辛苦了?|麻烦)(?:你们?|您们?|大家|了|各位)?(?:的(?:帮助|帮忙|解答|回答))?{_SOFT}",
    "farewell": rf"(?:好的?[\s，,]*)?(?:再见|拜拜|回头见|晚安|下次见|先这样){_SOFT}",
}
_TALK = {kind: re.compile(rf"(?:{_ENGLISH[kind]}|{_CHINESE[kind]})", re.IGNORECASE) for kind in REPLIES}
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")

_NAME = re.compile(
    r"""
    `[^`\s]{2,60}`                                             # code, as its writer marked it
    | (?<![\w-])--[a-z][\w-]* | (?<![\w-])-[a-zA-Z](?![\w-])   # --max-model-len, -p
    | (?<![\w.])v?\d+\.\d+(?:\.\d+)*(?:[-.]?(?:rc|alpha|beta|dev|post|lts)\d*)?(?![\w])(?!\s*%)   # v1.2.3, 3.11
    | (?<!\w)[A-Z]{1,}[-_]?\d{3,}(?!\w) | (?<!\w)0x[0-9a-fA-F]{2,}(?!\w)              # E1234, ERR-503, 0x80070005
    | (?<!\w)(?:HTTP|error|code|status|errno|exit\ code)[\s:#]*\d{1,6}(?!\w)                 # error 404, exit code 137
    | (?:错误码|错误代码|状态码|报错|错误|代码)[\s:：#]*\d{2,6}(?!\d)
    | (?<!\w)[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+(?!\w)      # max_model_len, ERR_CONNECTION_REFUSED
    | (?<!\w)[A-Z]\w*(?:Error|Exception|Warning)(?!\w)
    | (?<![\w/])[\w-]+\.(?:toml|ya?ml|json|ini|conf|cfg|env|log|sh|py|md|sqlite)(?!\w)
    """,
    re.VERBOSE | re.ASCII,
)


def small_talk(question: str) -> Talk | None:
    """What kind of small talk the whole of ``question`` is, if it is any: "Hello, how do I ...?" is none."""
    said = _EDGES.sub("", question)
    return next((kind for kind, pattern in _TALK.items() if said and pattern.fullmatch(said)), None)


def reply_to(talk: Talk, lang: str) -> str:
    """The fixed reply, in the language of the greeting."""
    return REPLIES[talk][prompt_lang(lang)]


def exact_names(question: str) -> list[str]:
    """Options, codes, version numbers, setting and file names in ``question``, as it spells them."""
    return list(dict.fromkeys(match.group().strip() for match in _NAME.finditer(question)))


def labels_named(question: str, known: Sequence[LabelCount]) -> list[str]:
    """The products and versions of the docs that ``question`` names, where there are several to choose from."""
    found = []
    for name in ("product", "version"):
        there = [value for value in values(known, name) if len(value) > 1]
        if len(there) > 1:
            found += [value for value in there if _named(value, question)]
    return found


def _named(value: str, question: str) -> bool:
    return bool(re.search(rf"(?<![A-Za-z0-9_.]){re.escape(value)}(?![A-Za-z0-9_])", question, re.IGNORECASE))

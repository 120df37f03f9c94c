"""Can a question be understood, and an answer be read, by somebody who does not see the page? English and Chinese.

Used twice: the rules do not write such samples, and the gate of the same name turns down whoever's samples do.
"""

from __future__ import annotations

import re

_THIS_PAGE = re.compile(
    r"\b(?:this|the (?:current|present)) (?:page|section|chapter|article|document|documentation|guide|tutorial|table|"
    r"figure|image|screenshot)\b|本(?:节|页|文|章|文档|教程|小节|指南)(?!件|字|地)|(?:该|此|这个|这份|这篇)(?:页面|文档|章节|表格|图)|这[页节张]",
    re.IGNORECASE,
)
_PICTURE = re.compile(
    r"\b(?:figure|image|screenshot|diagram|chart|picture)s? (?:below|above|shows)\b|"
    r"\b(?:following|above) (?:figure|image|screenshot|diagram|chart|picture)\b|"
    r"\bas shown (?:in (?:the )?(?:figure|image|picture|chart)|here)\b|[上下]图|如图|[图][0-9一二三]所示",
    re.IGNORECASE,
)
_ABOVE = re.compile(
    r"\b(?:as |is |are |was |were )?(?:shown|described|mentioned|listed|noted|discussed|explained|defined|given|stated|"
    r"introduced) (?:above|earlier|previously|before)\b|\b(?:the|these|this|all) above\b|\babove[- ](?:mentioned\b|\w+)|"
    r"\bsee above\b|\bthe (?:former|latter|previous|preceding)\b|"
    r"上述|上文(?!件)|(?<!当)前文(?!件)|前面(?:的|提到|介绍|所述)|上面(?:的|提到|介绍|所述)?|如上|以上(?=[的述内步方命代参])|前述|同上",
    re.IGNORECASE,
)
_SAME_AS = re.compile(r"\bsame as above\b|\bditto\b|同上", re.IGNORECASE)
_BELOW = re.compile(
    r"\b(?:the |as )?(?:following|follows)\b(?! (?:a|an|the)\b)|\b(?:shown|described|listed|given|explained|see|table|example|"
    r"code|list|command|steps?) below\b|\bbelow (?:is|are|shows|lists)\b|下面|下述|如下|以下|下方|下表|下文",
    re.IGNORECASE,
)
_IN_QUESTION = re.compile(
    r"\b(?:above|below|following|aforementioned|the passage|the text|the context|given (?:text|passage))\b|"
    r"上[述文面]|下[述文面](?!向)|以[上下](?:的|内容|文|代码)|如[上下]|[上下]表|根据(?:文档|文章|原文|上文|材料)|文中|原文",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?ms)^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[ \t]*$|\Z)|`[^`\n]+`")
_ENOUGH_BEFORE = 120
"""Characters an answer must have said, code not counted, before it may speak of "the above"."""

_FENCE = re.compile(r"```|~~~")
_LISTED = re.compile(r"(?m)^[ \t]*(?:[-*+]|\d+[.)]|\|)[ \t]?\S.*\n(?:.*\n)*?[ \t]*(?:[-*+]|\d+[.)]|\|)[ \t]?\S")
_NAMED = (
    (
        re.compile(
            r"(?i)\b(?:commands?|code|scripts?|examples?|snippets?|configurations?|yaml|json|outputs?|logs?)\b|命令|代码|脚本|示例|例子|配置|日志|输出"
        ),
        _FENCE,
    ),
    (re.compile(r"(?i)\btables?\b|表格"), re.compile(r"(?m)^[ \t]*\|")),
    (
        re.compile(r"(?i)\b(?:steps|options|parameters|arguments|methods|lists?|points|items)\b|步骤|参数|方法|列表"),
        _LISTED,
    ),
)
"""What "the above X" names, and what must stand before it then."""


def question_needs_page(question: str) -> str:
    """What in the question points at something that only a reader of the page sees; "" when nothing does."""
    said = _CODE.sub(" ", question)
    found = _IN_QUESTION.search(said) or _THIS_PAGE.search(said) or _PICTURE.search(said)
    return found[0].strip() if found else ""


def answer_needs_page(answer: str, whole_page: bool = False) -> str:
    """What in the answer points outside of it, or announces what does not come; "" when nothing does."""
    said = _CODE.sub(lambda m: " " * (m.end() - m.start()), answer)
    for pattern in (_PICTURE, _SAME_AS) if whole_page else (_PICTURE, _SAME_AS, _THIS_PAGE):
        found = pattern.search(said)
        if found:
            return found[0].strip()
    if re.search(r"[:：]\s*$", answer):
        return answer.rstrip().split("\n")[-1][-40:]
    return _above(said, answer) or _below(said, answer)


def _any(words: tuple[str, ...], text: str) -> bool:
    """A cheap look before the slow pattern: the patterns have many branches, and most answers match none."""
    return any(word in text for word in words)


def _above(said: str, answer: str) -> str:
    if not _any(("above", "earlier", "previous", "before", "former", "latter", "preceding", "上", "前"), said.lower()):
        return ""
    for found in _ABOVE.finditer(said):
        if not _stands_before(said[found.start() : found.end() + 24], said[: found.start()], answer[: found.start()]):
            return found[0].strip()
    return ""


def _stands_before(pointer: str, prose: str, answer: str) -> bool:
    """Whether what "the above ..." names can be among what was said: a command needs code, a table a table."""
    for noun, there in _NAMED:
        if noun.search(pointer):
            return bool(there.search(answer))
    return len(" ".join(prose.split())) >= _ENOUGH_BEFORE


def _below(said: str, answer: str) -> str:
    """A "following" or "below" with nothing on the lines after it (or after its colon)."""
    if not _any(("follow", "below", "下"), said.lower()):
        return ""
    for found in _BELOW.finditer(said):
        after = answer[found.end() :]
        colon = re.match(r"[^.。\n]*[:：]\s*\S", after)
        if not colon and not re.search(r"\n\s*\S", after) and len(after.strip()) < _ENOUGH_BEFORE:
            return found[0].strip()
    return ""

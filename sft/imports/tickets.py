"""What of a support ticket may be learnt: the problem and its solution, without people, numbers and what mail adds.

Taken out: quoted replies, signatures, greetings, ticket numbers, e-mail addresses, phone numbers (by Google's
phonenumbers). Code blocks are left alone but for addresses. It errs on the side of taking out too little of the text
and too much of the personal matter; names in running text stay, since nothing tells them from product names.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(
    r"(?im)^[ \t]*(?:on\b.{4,200}\bwrote:|am\b.{4,200}\bschrieb\b.{0,80}:|在.{4,200}写道[:：]|.{0,80}于.{4,120}写道[:：]|"
    r"-{2,}[ ]*(?:original message|forwarded message|原始邮件|转发邮件|原邮件)[ ]*-{2,}|"
    r"_{20,}|(?:from|发件人)[ ]?[:：].{2,200}\n[ \t]*(?:sent|date|to|发送时间|收件人|日期)[ ]?[:：])"
)
_SIGNATURE = re.compile(
    r"(?im)^[ \t]*(?:--[ ]?$|(?:(?:with )?(?:best|kind|warm|many)?[ ]?(?:regards|wishes)|best|cheers|sincerely|"
    r"(?:yours|respectfully)(?: (?:sincerely|faithfully|truly))?|(?:many )?thanks(?: (?:a lot|again|in advance|so much))?|"
    r"thank you(?: (?:very much|again|in advance|so much))?|thx|mit freundlichen grüßen|此致|敬礼|祝好|顺祝商祺|谢谢|多谢|感谢)"
    r"[ ]*[,.!，。！]*[ ]*$|sent from my\b|get outlook for\b|发自我的|从我的)"
)
_CLOSING_LINES = 8
"""A signature is short: a "Thanks!" with more lines below is none."""

_GREETING = re.compile(
    r"(?i)^\s*(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings)\b[^\n.!?:：]{0,40}?(?:[,!.:]|(?=\n)|$)"
    r"|(?:您好|你好|大家好|尊敬的[^\n，,：:！!]{0,20}|亲爱的[^\n，,：:！!]{0,20})[，,：:！!。]?)\s*"
    r"(?:(?:i hope (?:this (?:e-?mail|message) finds you well|you are (?:well|doing well))|hope you are well|"
    r"thank you for (?:contacting|reaching out to|writing to) [^\n.!]{0,60}|thanks for (?:contacting|reaching out)[^\n.!]{0,60}|"
    r"感谢您的(?:来信|咨询|反馈|联系))[.!。！，,]?\s*)?"
)
_TICKET = re.compile(
    r"(?i)\s*[\[(（【]?(?:\b(?:re(?:garding)?|about|for|in|of|see|my|your|our|the)[: ]+)?"
    r"(?:\b(?:ticket|case|incident|request|support request)|工单|案例|单号)[ ]*(?:no\.?|number|id|号|编号)?[ ]*[#:：№]?[ ]*"
    r"(?:[A-Z]{1,6}-?)?\d{3,}\b[\])）】]?(?:[:：])?"
)
_TICKET_KEY = re.compile(r"\s*[\[(【](?:#|[A-Z]{2,8}-)\d{2,}[\])】]")
_EMAIL = re.compile(r"(?:mailto:)?[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_CHINESE_MOBILE = re.compile(r"(?<![\d.-])1[3-9]\d(?:[ -]?\d{4}){2}(?![\d.-])")
_REGIONS = (None, "US", "GB", "DE", "CN")
_CONTACT = re.compile(
    r"(?im)^[ \t]*(?:e-?mail|mail|tel(?:ephone)?|phone|mobile|cell|fax|邮箱|电话|手机|传真)[ .]*[:：]?[ \t]*\x00[^\n]*$\n?"
)
_LABEL = re.compile(r"(?i)(?:电话(?:号码)?|手机号?|邮箱(?:地址)?|tel\.|phone:|e-?mail:)[ ]*[:：]?[ ]*(?=\x00)")
_CODE = re.compile(r"(?ms)^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[ \t]*$|\Z)|`[^`\n]+`")

WORDS = {"en": ("an e-mail address", "a phone number"), "zh": ("邮箱地址", "电话号码")}
"""What stands in the place of an address and a number inside a sentence."""


def cleaned(text: str, lang: str = "en") -> str:
    """One message of a ticket, as it may be learnt."""
    text = _without_signature(_without_quotes(text.replace("\r\n", "\n").replace("\r", "\n")))
    text = _GREETING.sub("", text, count=1)
    pieces, at = [], 0
    for code in _CODE.finditer(text):
        pieces += [_without_numbers(text[at : code.start()], lang), _EMAIL.sub("user@example.com", code[0])]
        at = code.end()
    whole = "".join([*pieces, _without_numbers(text[at:], lang)])
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+(?=\n|$)", "", whole)).strip()


def _without_quotes(text: str) -> str:
    """Up to where somebody else's message begins; lines that begin with ">" go wherever they stand."""
    found = _QUOTED.search(text)
    kept = text[: found.start()] if found else text
    return re.sub(r"(?m)^[ \t]*>.*(?:\n|$)", "", kept)


def _without_signature(text: str) -> str:
    """Up to a closing such as "Best regards", when what follows is short enough for a signature."""
    for found in _SIGNATURE.finditer(text):
        below = [line for line in text[found.end() :].split("\n") if line.strip()]
        if len(below) <= _CLOSING_LINES and all(len(line) <= 80 for line in below) and "```" not in text[found.end() :]:
            return text[: found.start()].rstrip()
    return text


def _without_numbers(prose: str, lang: str) -> str:
    email, phone = WORDS["zh" if lang == "zh" else "en"]
    prose = _TICKET_KEY.sub("", _TICKET.sub("", prose))
    prose = _EMAIL.sub("\x00e", prose)
    for start, end in reversed(_phones(prose)):
        prose = f"{prose[:start]}\x00p{prose[end:]}"
    prose = _LABEL.sub("", _CONTACT.sub("", prose))
    prose = re.sub(r"(^|[.。!！?？]|\n)[ ]*[,，][ ]*", lambda m: f"{m[1]} " if m[1] in ".!?" else m[1], prose)
    return prose.replace("\x00e", email).replace("\x00p", phone)


def _phones(prose: str) -> list[tuple[int, int]]:
    """Where phone numbers stand, in order. Bare digits are none: they may be ids, sizes and times."""
    if sum(char.isdigit() for char in prose) < 7:
        return []
    from phonenumbers import Leniency, PhoneNumberMatcher

    found = [match.span() for match in _CHINESE_MOBILE.finditer(prose)]
    for region in _REGIONS:
        for match in PhoneNumberMatcher(prose, region, leniency=Leniency.STRICT_GROUPING):
            if not match.raw_string.isdigit():
                found.append((match.start, match.end))
    apart: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
    return apart

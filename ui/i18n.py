"""Every word of the interface, in English and Chinese: the frame's own here, a panel's in its words.py. Pure.

``Words("zh")("sources", count=3)`` -> "来源（3）". Both languages have the same keys and fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from ui.account import words as account
from ui.admin import words as admin
from ui.chat import words as chat
from ui.conversations import words as conversations
from ui.feedback import words as feedback
from ui.report import words as report
from ui.sides import words as sides
from ui.text import one_line, shorten

LANGUAGES = {"en": "English", "zh": "中文"}

_OWN: dict[str, dict[str, str]] = {
    "en": {
        "other_language": "中文",
        "theme": "Light or dark",
        "voice.rag": "Reads the docs",
        "voice.base": "Base model",
        "voice.sft": "Learned the docs",
        "voice.sft-rag": "Learned and reads",
        "voice.auto": "Auto",
        "voice.compare": "Both side by side",
        "voice.blind": "Blind test",
        "lang.en": "English",
        "lang.zh": "Chinese",
        "refreshed": "Docs refreshed {ago}",
        "refresh_failed": "The last refresh failed",
        "ago.now": "just now",
        "ago.minutes": "{count} min ago",
        "ago.hours": "{count} h ago",
        "ago.days": "{count} d ago",
        "banner.demo": "Answers come from a small demonstration model, which is often wrong. Check the sources.",
        "banner.quoting": "No language model is configured, so answers are quotes from the best passages.",
        "banner.engine_starting": "The language model is still starting; until then answers are quotes from the docs.",
        "banner.engine_failed": "The language model is not available, so answers are quotes from the best passages.",
        "banner.engine_ready": "The language model does not answer, so answers are quotes from the best passages.",
        "banner.not_ready": "The docs cannot be searched yet: {reason}",
        "banner.down": "The gateway does not answer. {reason}",
        "panels": "Parts of DocDuet",
        "panel.chat": "Chat",
    },
    "zh": {
        "other_language": "English",
        "theme": "浅色或深色",
        "voice.rag": "查阅文档",
        "voice.base": "基础模型",
        "voice.sft": "学过文档",
        "voice.sft-rag": "学过并查阅",
        "voice.auto": "自动",
        "voice.compare": "两者并排",
        "voice.blind": "盲测",
        "lang.en": "英文",
        "lang.zh": "中文",
        "refreshed": "文档{ago}更新",
        "refresh_failed": "最近一次更新失败",
        "ago.now": "刚刚",
        "ago.minutes": " {count} 分钟前",
        "ago.hours": " {count} 小时前",
        "ago.days": " {count} 天前",
        "banner.demo": "回答来自一个小型演示模型，常常会出错。请核对来源。",
        "banner.quoting": "尚未配置语言模型，因此答案是从最相关段落中摘录的原文。",
        "banner.engine_starting": "语言模型仍在启动；在此之前，答案是从最相关段落中摘录的原文。",
        "banner.engine_failed": "语言模型不可用，因此答案是从最相关段落中摘录的原文。",
        "banner.engine_ready": "语言模型没有响应，因此答案是从最相关段落中摘录的原文。",
        "banner.not_ready": "暂时无法检索文档：{reason}",
        "banner.down": "网关没有响应。{reason}",
        "panels": "DocDuet 的各部分",
        "panel.chat": "对话",
    },
}

_PARTS = (
    account,
    admin,
    chat,
    conversations,
    feedback,
    report,
    sides,
)
TEXTS = {
    lang: {key: text for own in (_OWN, *(part.TEXTS for part in _PARTS)) for key, text in own[lang].items()}
    for lang in LANGUAGES
}


@dataclass(frozen=True)
class Words:
    """The interface in one language."""

    lang: str = "en"

    @staticmethod
    def of(value: object) -> Words:
        """The language of a component's value, as the browser sent it."""
        return Words(choose("", str(value.get("lang", "")))) if isinstance(value, dict) else Words()

    def __call__(self, key: str, **values: object) -> str:
        """The text called ``key``, its fields filled in."""
        return TEXTS[self.lang][key].format(**values) if values else TEXTS[self.lang][key]

    def first(self, *keys: str, **values: object) -> str:
        """The text of the first key that exists."""
        return self(next(key for key in keys if key in TEXTS[self.lang]), **values)

    def voice(self, name: str) -> str:
        """What a voice is called; one without a name of ours keeps its own, fit to be shown."""
        return TEXTS[self.lang].get(f"voice.{name}") or shorten(one_line(name), 60)

    def language(self, code: str) -> str:
        """What a language of the docs is called; one without a name of ours keeps its code."""
        return TEXTS[self.lang].get(f"lang.{code}", code)

    def ago(self, seconds: float) -> str:
        """How long ago something was: ``12 min ago``."""
        for key, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
            if seconds >= size:
                return self(f"ago.{key}", count=int(seconds // size))
        return self("ago.now")

    def examples(self) -> list[str]:
        return [TEXTS[self.lang][key] for key in sorted(TEXTS[self.lang]) if key.startswith("example.")]


def choose(accept_language: str, saved: str = "") -> str:
    """The interface's language: what was chosen before, else the browser's first wish that we speak, else English."""
    if saved in LANGUAGES:
        return saved
    wishes = []
    for part in accept_language.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wishes.append((-float(quality or 1), tag[:2].lower()))
        except ValueError:
            continue
    spoken = (tag for _, tag in sorted(wishes, key=lambda wish: wish[0]) if tag in LANGUAGES)
    return next(spoken, "en")

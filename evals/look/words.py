"""Words and numbers that the report and the scorecard share, in English and Chinese. Both have the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

LANGUAGES = ("en", "zh")

SHARED: dict[str, dict[str, str]] = {
    "en": {
        "list": ", ",
        "voice.rag": "Reads the docs",
        "voice.sft": "Learned the docs",
        "voice.sft-rag": "Learned and reads",
        "voice.base": "Base model",
        "voice.auto": "Auto",
        "voice.quote": "Quotes the docs",
        "made": "made {day}",
        "lang.en": "English",
        "lang.zh": "Chinese",
        "voice": "Voice",
        "degraded": "Degraded",
        "first_ms": "First word",
        "total_ms": "Whole answer",
        "tokens": "Tokens",
        "questions": "Questions",
        "facts_recalled": "Facts recalled",
        "citation_precision": "Citation precision",
        "citation_recall": "Citation recall",
        "faithful": "Faithful",
        "time.ms": "{value} ms",
        "time.s": "{value} s",
    },
    "zh": {
        "list": "、",
        "voice.rag": "查阅文档",
        "voice.sft": "学过文档",
        "voice.sft-rag": "学过并查阅",
        "voice.base": "基础模型",
        "voice.auto": "自动",
        "voice.quote": "引用原文",
        "made": "生成于 {day}",
        "lang.en": "英文",
        "lang.zh": "中文",
        "voice": "声部",
        "degraded": "降级",
        "first_ms": "首字",
        "total_ms": "完整答案",
        "tokens": "词元",
        "questions": "问题",
        "facts_recalled": "事实召回",
        "citation_precision": "引用精确率",
        "citation_recall": "引用召回率",
        "faithful": "忠实度",
        "time.ms": "{value} 毫秒",
        "time.s": "{value} 秒",
    },
}


@dataclass(frozen=True)
class Words:
    """Texts in one language: ``en`` or ``zh``."""

    lang: str = "en"
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = SHARED

    def __call__(self, key: str, **values: object) -> str:
        """The text called ``key``, its fields filled in."""
        return self.texts[self.lang][key].format(**values) if values else self.texts[self.lang][key]

    def named(self, kind: str, name: str) -> str:
        """What ``name`` is called; one without a name of ours keeps its own."""
        return self.texts[self.lang].get(f"{kind}.{name}", name)

    def percent(self, share: float | None, digits: int = 0) -> str:
        """``62 %``; a dash for what is not known."""
        if share is None:
            return "–"
        return f"{100 * share:.{digits}f}{' ' if self.lang == 'en' else ''}%"

    def p_value(self, p: float) -> str:
        """As a percentage, never as nothing at all."""
        return f"< {self.percent(0.001, 1)}" if p < 0.001 else self.percent(p, 1 if p < 0.1 else 0)

    def time(self, ms: float) -> str:
        """``240 ms``, ``1.4 s``."""
        return self("time.ms", value=f"{ms:.0f}") if ms < 1000 else self("time.s", value=f"{ms / 1000:.1f}")

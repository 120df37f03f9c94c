"""Every word of the interface, in English and Chinese. Pure.

``Words("zh")("sources", count=3)`` -> "来源（3）". Both languages have the same keys and fields.
"""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = {"en": "English", "zh": "中文"}

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "placeholder": "Ask about the product…",
        "question_label": "Your question",
        "hint": "Enter sends, Shift+Enter starts a new line",
        "new_chat": "New chat",
        "sign_out": "Sign out",
        "other_language": "中文",
        "theme": "Light or dark",
        "voice_label": "Who answers",
        "voice.rag": "Reads the docs",
        "voice.base": "Base model",
        "voice.sft": "Learned the docs",
        "voice.sft-rag": "Learned and reads",
        "voice.auto": "Auto",
        "voice.compare": "Side by side",
        "filters": "Answer only from",
        "filter.product": "Product",
        "filter.version": "Version",
        "filter.lang": "Language of the docs",
        "filter.product.all": "All products",
        "filter.version.all": "All versions",
        "filter.lang.all": "All languages",
        "filtered": "Only from {filters}",
        "lang.en": "English",
        "lang.zh": "Chinese",
        "refreshed": "Docs refreshed {ago}",
        "refresh_failed": "The last refresh failed",
        "ago.now": "just now",
        "ago.minutes": "{count} min ago",
        "ago.hours": "{count} h ago",
        "ago.days": "{count} d ago",
        "welcome": "What would you like to know?",
        "welcome_more": "Answers come from your product docs, and every claim carries a source you can open.",
        "try": "For example",
        "banner.quoting": "No language model is configured, so answers are quotes from the best passages.",
        "banner.engine_starting": "The language model is still starting; until then answers are quotes from the docs.",
        "banner.engine_failed": "The language model is not available, so answers are quotes from the best passages.",
        "banner.engine_ready": "The language model does not answer, so answers are quotes from the best passages.",
        "banner.not_ready": "The docs cannot be searched yet: {reason}",
        "banner.down": "The gateway does not answer. {reason}",
        "waiting.rag": "Searching the docs…",
        "waiting": "Thinking…",
        "thinking": "Reasoning",
        "searched": "Searched for",
        "reason": "How Auto chose",
        "side.0": "Left",
        "side.1": "Right",
        "sources": "Sources ({count})",
        "source": "Source",
        "open_page": "Open page",
        "more": "Show more",
        "less": "Show less",
        "copy": "Copy",
        "copied": "Copied",
        "retry": "Ask again",
        "stopped": "Stopped.",
        "empty_answer": "The answer came back empty.",
        "refused": "Not in the docs",
        "refused_hint": "Try other words, or ask about one thing at a time.",
        "refused_filtered": "Only {filters} was searched. Choose other filters, or try other words.",
        "unsourced": "This answer comes from the model alone and has no sources.",
        "degraded.no engine": "No model was available: these are quotes from the best passages.",
        "degraded.engine said nothing": "The model said nothing: these are quotes from the best passages.",
        "degraded": "Answered with quotes from the best passages ({reason}).",
        "time.retrieve": "search {value}",
        "time.rewrite": "rewrite {value}",
        "time.translate": "translate {value}",
        "time.first_token": "first word {value}",
        "time.total": "total {value}",
        "failed": "This did not work",
        "failed.no_index": "Nothing has been indexed yet",
        "failed.index_mismatch": "The index does not fit the configuration",
        "failed.engine_unavailable": "The language model is not available",
        "failed.broken_off": "The answer broke off",
        "failed.shutting_down": "The gateway is shutting down",
        "failed.model_not_found": "This voice is not available",
        "failed.question_too_long": "The question is too long",
        "failed.body_too_large": "The question is too long",
        "failed.unknown_label": "No page fits these filters",
        "failed.missing_key": "Sign in first: load this page again",
        "failed.invalid_key": "Your key is no longer valid: load this page again",
        "failed.rate_limit_exceeded": "Too many questions in a minute",
        "failed.too_many_answers": "Too many answers at the same time",
        "failed.overloaded": "Too many people are asking",
        "failed.unreachable": "The gateway does not answer",
        "example.1": "How do I point DocDuet at my own docs?",
        "example.2": "Which file formats can be synced?",
        "example.3": "What happens when no model is configured?",
        "example.4": "How do I change the port?",
    },
    "zh": {
        "placeholder": "问一个关于产品的问题…",
        "question_label": "你的问题",
        "hint": "Enter 发送，Shift+Enter 换行",
        "new_chat": "新对话",
        "sign_out": "退出登录",
        "other_language": "English",
        "theme": "浅色或深色",
        "voice_label": "由谁回答",
        "voice.rag": "查阅文档",
        "voice.base": "基础模型",
        "voice.sft": "学过文档",
        "voice.sft-rag": "学过并查阅",
        "voice.auto": "自动",
        "voice.compare": "并排比较",
        "filters": "只根据以下内容回答",
        "filter.product": "产品",
        "filter.version": "版本",
        "filter.lang": "文档语言",
        "filter.product.all": "全部产品",
        "filter.version.all": "全部版本",
        "filter.lang.all": "全部语言",
        "filtered": "只根据 {filters} 回答",
        "lang.en": "英文",
        "lang.zh": "中文",
        "refreshed": "文档{ago}更新",
        "refresh_failed": "最近一次更新失败",
        "ago.now": "刚刚",
        "ago.minutes": " {count} 分钟前",
        "ago.hours": " {count} 小时前",
        "ago.days": " {count} 天前",
        "welcome": "你想了解什么？",
        "welcome_more": "答案来自你的产品文档，每个说法都附有可以打开的来源。",
        "try": "试着问问",
        "banner.quoting": "尚未配置语言模型，因此答案是从最相关段落中摘录的原文。",
        "banner.engine_starting": "语言模型仍在启动；在此之前，答案是从最相关段落中摘录的原文。",
        "banner.engine_failed": "语言模型不可用，因此答案是从最相关段落中摘录的原文。",
        "banner.engine_ready": "语言模型没有响应，因此答案是从最相关段落中摘录的原文。",
        "banner.not_ready": "暂时无法检索文档：{reason}",
        "banner.down": "网关没有响应。{reason}",
        "waiting.rag": "正在检索文档…",
        "waiting": "正在思考…",
        "thinking": "推理过程",
        "searched": "检索内容",
        "reason": "自动选择的理由",
        "side.0": "左侧",
        "side.1": "右侧",
        "sources": "来源（{count}）",
        "source": "来源",
        "open_page": "打开页面",
        "more": "展开",
        "less": "收起",
        "copy": "复制",
        "copied": "已复制",
        "retry": "重新提问",
        "stopped": "已停止。",
        "empty_answer": "没有得到任何回答。",
        "refused": "文档中没有",
        "refused_hint": "换个说法试试，或者一次只问一件事。",
        "refused_filtered": "只检索了 {filters}。可以改变筛选条件，或者换个说法。",
        "unsourced": "这个回答只来自模型本身，没有来源。",
        "degraded.no engine": "当时没有可用的模型：以下是最相关段落的原文摘录。",
        "degraded.engine said nothing": "模型没有给出内容：以下是最相关段落的原文摘录。",
        "degraded": "回答包含最相关段落的原文摘录（{reason}）。",
        "time.retrieve": "检索 {value}",
        "time.rewrite": "改写 {value}",
        "time.translate": "翻译 {value}",
        "time.first_token": "首字 {value}",
        "time.total": "总计 {value}",
        "failed": "没有成功",
        "failed.no_index": "还没有建立索引",
        "failed.index_mismatch": "索引与配置不一致",
        "failed.engine_unavailable": "语言模型暂时不可用",
        "failed.broken_off": "回答中断了",
        "failed.shutting_down": "网关正在停止",
        "failed.model_not_found": "无法由它回答",
        "failed.question_too_long": "问题太长",
        "failed.body_too_large": "问题太长",
        "failed.unknown_label": "没有符合筛选条件的页面",
        "failed.missing_key": "请先登录：重新打开本页",
        "failed.invalid_key": "你的密钥已失效：请重新打开本页",
        "failed.rate_limit_exceeded": "一分钟内的提问过多",
        "failed.too_many_answers": "同时进行的回答过多",
        "failed.overloaded": "当前提问的人过多",
        "failed.unreachable": "网关没有响应",
        "example.1": "怎么让 DocDuet 使用我自己的文档？",
        "example.2": "可以同步哪些格式的文件？",
        "example.3": "没有配置模型时会怎样？",
        "example.4": "怎么修改端口？",
    },
}


@dataclass(frozen=True)
class Words:
    """The interface in one language."""

    lang: str = "en"

    def __call__(self, key: str, **values: object) -> str:
        """The text called ``key``, its fields filled in."""
        return TEXTS[self.lang][key].format(**values) if values else TEXTS[self.lang][key]

    def first(self, *keys: str, **values: object) -> str:
        """The text of the first key that exists."""
        return self(next(key for key in keys if key in TEXTS[self.lang]), **values)

    def voice(self, name: str) -> str:
        """What a voice is called; one without a name of ours keeps its own."""
        return TEXTS[self.lang].get(f"voice.{name}", name)

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

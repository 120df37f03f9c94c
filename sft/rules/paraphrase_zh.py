"""Chinese questions reworded. A masked question in (a private character for each name), another wording out.

As in paraphrase_en: what is asked for, another frame, other words (jieba cuts them), another manner.
"""

from __future__ import annotations

import random
import re
from functools import cache

from rag import segment
from sft.rules.lexicon import lexicon

FRAMES: dict[str, tuple[str, ...]] = {
    "how-to": (
        "怎么{g}？", "如何{g}？", "怎样{g}？", "怎样才能{g}？", "要怎么{g}？", "应该怎么{g}？", "{g}应该怎么操作？",
        "我想{g}，该怎么做？", "想{g}，要怎么弄？", "我需要{g}，具体怎么操作？", "有没有办法{g}？", "{g}的方法是什么？",
        "{g}需要哪些步骤？", "请教一下，怎么{g}？", "请问如何{g}？", "客户想{g}，应该怎么做？", "有用户问怎么{g}，怎么回答？",
        "不知道怎么{g}，求指导。", "能不能教我怎么{g}？", "{g}怎么弄", "要{g}的话，得怎么做？", "麻烦说一下怎么{g}。",
        "{g}的步骤", "第一次弄，怎么{g}呢？", "想了解一下怎么{g}。", "{g}，具体流程是怎样的？",
    ),
    "can": (
        "能不能{g}？", "可以{g}吗？", "能{g}吗？", "是否可以{g}？", "支持{g}吗？", "有没有可能{g}？", "可不可以{g}？",
        "请问能{g}吗？", "想确认一下，可以{g}吗？", "客户问能不能{g}。", "允许{g}吗？",
    ),
    "define": (
        "{t}是什么？", "什么是{t}？", "{t}是什么意思？", "{t}有什么用？", "{t}是干什么的？", "{t}是做什么用的？",
        "解释一下{t}。", "能说明一下{t}吗？", "{t}指的是什么？", "请问{t}是什么？", "{t}的作用是什么？", "看到了{t}，不知道是什么。",
        "{t}怎么理解？", "为什么需要{t}？", "什么情况下会用到{t}？", "{t} 是什么",
    ),
    "default": (
        "{t}的默认值是多少？", "{t}默认是什么？", "不设置{t}时用的是什么值？", "{t}不填的话是多少？", "{t}的缺省值是什么？",
        "{t} 默认", "没改过{t}，它是多少？", "默认情况下{t}是什么？", "请问{t}默认取什么值？",
    ),
    "values": (
        "{t}可以取哪些值？", "{t}能填什么？", "{t}有哪些可选项？", "{t}可以设成什么？", "{t}支持哪些取值？", "{t} 取值",
        "{t}都有哪些选择？",
    ),
    "difference": (
        "{a}和{b}有什么区别？", "{a}跟{b}有什么不一样？", "{a}与{b}的差别是什么？", "{a}和{b}怎么选？", "{a}还是{b}，区别在哪？",
        "该用{a}还是{b}？", "对比一下{a}和{b}。", "{a} {b} 有何不同",
    ),
    "where": ("{t}在哪里？", "在哪里能找到{t}？", "{t}在什么地方？", "找不到{t}，在哪？", "{t}的位置是？", "到哪里看{t}？"),
    "trouble": (
        "{s}，怎么办？", "{s}，怎么解决？", "{s}是什么原因？", "遇到{s}，该如何处理？", "为什么会{s}？", "{s}，求助！",
        "客户反映{s}，应该怎么处理？", "{s}，有什么办法吗？", "出现{s}的情况，要检查什么？",
    ),
    "happens": ("如果{s}会怎样？", "{s}的话会发生什么？", "要是{s}，结果是什么？", "假如{s}呢？", "{s}时会怎么样？"),
    "about": (
        "介绍一下{t}。", "请说说{t}。", "{t}是怎么回事？", "关于{t}，需要知道什么？", "想了解{t}。", "{t}的具体情况是？",
        "能详细讲讲{t}吗？", "文档里是怎么说{t}的？",
    ),
}  # fmt: skip
_NAME = r"[^，。？?]{1,40}?"
_ASKED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("difference", rf"(?P<a>{_NAME})(?:和|与|跟)(?P<b>{_NAME})(?:之间)?(?:有什么|有何|的)?(?:区别|不同|差别|差异)(?:是什么|在哪里?)?"),
        ("default", rf"(?P<t>{_NAME}) ?的?默认(?:值)?(?:是|为)?(?:多少|什么)?"),
        ("default", rf"不设置(?P<t>{_NAME})的话，会用什么值"),
        ("values", rf"(?P<t>{_NAME})(?:可以取哪些值|有哪些可选项|支持哪些取值| ?可选值)"),
        ("where", rf"(?P<t>{_NAME})(?:在哪里?|在哪儿|位于哪里)|(?:在哪里?|哪里)(?:可以|能)?(?:找到|看到|查看)(?P<t2>{_NAME})"),
        ("trouble", r"(?P<s>[^，。]{3,60})，(?:怎么办|该怎么解决|怎么解决|怎么处理|是什么原因|该怎么办)(?:，.*)?"),
        ("trouble", r"(?:报错|运行时出现|遇到)(?P<s>[^，。]{2,60})，.*"),
        ("happens", r"(?:如果|当|若)(?P<s>[^，。]{3,50})(?:，|的话|时)*会(?:怎样|怎么样|发生什么|如何)"),
        ("how-to", r"(?:请问)?(?:该|应该|要)?(?:怎么|如何|怎样|怎么样)(?:才能|才可以|去|来)?(?P<g>(?!办|回事|理解|样|的|么)[^，。？]{3,60})"),
        ("how-to", r"(?:我|用户|客户)?(?:想要?|需要|希望)(?P<g>[^，。]{3,50})，.*(?:怎么|如何|怎样|什么|步骤).*"),
        ("how-to", r"(?P<c>[^，。怎如]{2,24}?)(?:该|应该|要)?(?:怎么|如何|怎样)(?:才能|去|来)?(?P<g>(?!办|回事|理解|样|选|的|么)[^，。？]{2,50})"),
        ("can", r"(?:请问)?(?:能不能|可不可以|能否|可否|是否可以|是否能够?)(?P<g>[^，。]{3,50})"),
        ("can", r"(?:请问)?(?:可以|能够?)(?P<g>[^，。]{3,50})吗"),
        ("define", rf"(?P<t>{_NAME})(?:是做什么用的|是什么意思|是什么|有什么用|有什么作用|的作用是什么|指的是什么|是干什么的| 含义)"),
        ("define", rf"什么是(?P<t>{_NAME})|请?(?:能|可以)?解释一下(?P<t2>{_NAME})(?:吗)?"),
        ("about", rf"请?(?:能)?(?:简单|详细)?(?:介绍一下|说说|讲讲)(?P<t>{_NAME})(?:吗)?"),
    )
)  # fmt: skip
_CONTEXT = re.compile(
    r"(?:在|使用|用)?(?P<c>[^，。：]{2,24}?)(?:里|中|时|：|，|的时候，)+(?P<q>(?:怎么|如何|怎样|哪个|哪些).+)"
)
_PLACED = ("在{c}里，{q}", "{c}：{q}", "我在用{c}，{q}", "{q}（{c}）", "用{c}的时候，{q}", "关于{c}，{q}")
_BEFORE = (
    "你好，",
    "您好，",
    "请问一下，",
    "请教：",
    "麻烦问下，",
    "有个问题，",
    "客户问：",
    "想问问，",
    "打扰了，",
    "那个，",
)
_AFTER = ("谢谢！", "多谢。", "比较急。", "麻烦了。", "文档里没找到。", "求解答。")
_STOP = frozenset(
    """
    的 了 是 在 有 我 我们 你 您 这 那 什么 怎么 怎样 如何 为什么 哪 哪个 哪些 哪里 多少 是否 能否 可以 能 能够 要 想 需要
    应该 吗 呢 吧 啊 请 请问 一下 也 都 就 还 会 把 被 对 从 到 由 于 与 和 或 时 中 里 上 下 这个 那个 如果 怎么办 该 才 来 去
    """.split()
)
_CONFUSED = (
    ("的", "得"),
    ("在", "再"),
    ("账", "帐"),
    ("登录", "登陆"),
    ("配置", "配制"),
    ("其他", "其它"),
    ("重新", "从新"),
)
_SWAP = 0.4
_HAN = re.compile(r"[\u4e00-\u9fff]+")


def reword(question: str, rng: random.Random) -> str:
    """One other wording of a masked question."""
    context, asked = _context(question)
    bare = asked.rstrip(" ？?。.！!")
    roll = rng.random()
    if roll < 0.1:
        words = _keywords(bare)
        if len(words) > 1:
            return " ".join([*([context] if context else []), *words])
    said = _framed(bare, rng) if roll < 0.85 else ""
    said = said or f"{swapped(bare, rng)}？"
    if context:
        said = rng.choice(_PLACED).format(c=context, q=said if said[-1] in "？。" else f"{said}？")
    return _manner(said, rng)


def _context(question: str) -> tuple[str, str]:
    found = _CONTEXT.fullmatch(question)
    return (found["c"], found["q"]) if found else ("", question)


def _framed(bare: str, rng: random.Random) -> str:
    for kind, pattern in _ASKED:
        found = pattern.fullmatch(bare)
        if found:
            slots = {name.rstrip("2"): text.strip() for name, text in found.groupdict().items() if text}
            if not all(slots.values()) or any(re.search(r"怎么|如何|什么|哪", text) for text in slots.values()):
                return ""
            slots = {name: swapped(text, rng) for name, text in slots.items()}
            if "c" in slots:  # "日志怎么查看" asks how to 查看日志; "训练后怎么发通知" how to 训练后发通知
                before = slots.pop("c")
                slots["g"] = f"{slots['g']}{before}" if len(slots["g"]) <= 2 else f"{before}{slots['g']}"
            return rng.choice(FRAMES[kind]).format(**slots)
    return ""


def swapped(text: str, rng: random.Random) -> str:
    """Words of the lexicon exchanged for others at the rate _SWAP, where they stand as words."""
    return _HAN.sub(lambda run: _of_run(run[0], rng), text)


def _of_run(run: str, rng: random.Random) -> str:
    words = [word for word, _ in segment.words(run)]
    said = []
    for at, word in enumerate(words):
        others = _others().get(word)
        before, after = (words[at - 1] if at else ""), (words[at + 1] if at + 1 < len(words) else "")
        # "安装程序", "配置文件夹": a short word beside another without 的 between may be half of a name.
        fixed = word in _nouns() and (before in _others() or after in _nouns())
        swap = others is not None and not fixed and rng.random() < _SWAP
        said.append(rng.choice(others) if swap and others else word)
    return "".join(said)


@cache
def _others() -> dict[str, tuple[str, ...]]:
    """Word -> substitutes; a word that is of two parts of speech with different substitutes has none."""
    found: dict[str, tuple[str, ...]] = {}
    twice = set()
    for table in lexicon("zh").values():
        for word, others in table.items():
            if word in found:
                twice.add(word)
            found[word] = others
    return {word: others for word, others in found.items() if word not in twice}


@cache
def _nouns() -> frozenset[str]:
    return frozenset(lexicon("zh")["nouns"])


def _keywords(bare: str) -> list[str]:
    """Content words, neighbours left together: 安装 中文 输入法."""
    found: list[str] = []
    for piece in re.findall(r"[\ue000-\uf7ff]|[\u4e00-\u9fff]+", bare):
        words = [word for word, _ in segment.words(piece)] if _HAN.match(piece) else [piece]
        found += [word for word in words if word not in _STOP]
    return found


def _manner(said: str, rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.12:
        said = rng.choice(_BEFORE) + said.removeprefix("请问")
    elif roll < 0.18:
        said = f"{said if said[-1:] in '？。！' else said + '？'}{rng.choice(_AFTER)}"
    if rng.random() < 0.3:
        said = said.rstrip("？。")
    elif rng.random() < 0.12 and said.endswith("？") and not said.endswith(("吗？", "呢？")):
        said = f"{said[:-1]}呢？" if "怎么" in said or "什么" in said or "如何" in said else said
    elif rng.random() < 0.08:
        said = said.replace("？", "?").replace("，", ",")
    if rng.random() < 0.04:
        right, wrong = rng.choice(_CONFUSED)
        said = said.replace(right, wrong, 1)
    return said

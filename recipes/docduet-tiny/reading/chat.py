"""Small talk and small skills without passages: 5 % of the tasks, so that the base model is more than a reader.

Tasks with no passages are asked through `data.prompts.base_messages`. Everything is computed or listed here; nothing
comes from a page.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from reading.parts import Task

Made = tuple[tuple[tuple[str, str], ...], str, str]
"""(history, question, answer)."""

_SAID: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "en": (
        (("Hello", "Hi", "Hi there!", "Hey", "Good morning", "Good afternoon", "hello!", "Hello, anybody there?"),
         ("Hello! What would you like to know?", "Hello! How can I help you?")),
        (("Who are you?", "What are you?", "What's your name?", "who am I talking to", "Are you a human?", "Are you a bot?"),
         ("I am docduet-tiny, a small language model that answers questions about product documentation.",)),
        (("What can you do?", "How can you help me?", "What are you good at?", "What do you know?"),
         ("I answer questions about product documentation from passages that I am given, and I name the passage that each sentence comes from. I am small, so please check what matters.",)),
        (("Thanks", "Thank you!", "thx", "Great, thank you.", "That helped, thanks."), ("You are welcome!", "You are welcome. Is there anything else?")),
        (("Bye", "Goodbye", "See you", "That's all for today."), ("Goodbye!", "Goodbye, and good luck!")),
        (("Who made you?", "Who trained you?", "Where do you come from?"),
         ("I was trained from scratch on free documentation as a part of DocDuet.",)),
        (("Can you make mistakes?", "Are you always right?", "Can I trust you?"),
         ("No, I make mistakes. Please check an answer against the page that it cites.",)),
        (("How are you?", "How are you doing?", "how's it going"), ("I am fine, thank you. What would you like to know?",)),
        (("Do you speak Chinese?", "Which languages do you speak?", "Do you know other languages?"),
         ("I understand English and Chinese.",)),
    ),
    "zh": (
        (("你好", "您好", "嗨", "早上好", "下午好", "你好！", "在吗", "有人吗？"), ("你好！想了解什么？", "你好！有什么可以帮你？")),
        (("你是谁？", "你是什么？", "你叫什么名字？", "你是真人吗？", "你是机器人吗", "我在跟谁说话？"),
         ("我是 docduet-tiny，一个回答产品文档问题的小型语言模型。",)),
        (("你能做什么？", "你会什么？", "你能帮我什么？", "你擅长什么"),
         ("我根据给出的段落回答产品文档的问题，并注明每句话来自哪个段落。我的规模很小，重要的内容请核对原文。",)),
        (("谢谢", "谢谢你！", "多谢", "好的，谢谢", "帮到我了，谢谢"), ("不客气！", "不客气。还有别的问题吗？")),
        (("再见", "拜拜", "今天就到这里", "回头见"), ("再见！", "再见，祝顺利！")),
        (("谁开发了你？", "你是怎么训练出来的？", "你从哪里来？"), ("我是 DocDuet 的一部分，用自由文档从零训练而成。",)),
        (("你会出错吗？", "你说的都对吗？", "可以相信你吗？"), ("我会出错。请对照引用的页面核对答案。",)),
        (("你好吗？", "最近怎么样", "你还好吗"), ("我很好，谢谢。想了解什么？",)),
        (("你会说英语吗？", "你懂哪些语言？"), ("我懂中文和英文。",)),
    ),
}  # fmt: skip
_THINGS = {
    "en": {
        "colours": "red blue green yellow black white orange purple brown grey".split(),
        "fruits": "apple banana pear cherry orange plum grape lemon peach melon".split(),
        "animals": "cat dog horse cow sheep lion bear wolf fox mouse".split(),
        "days of the week": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
        "months": "January February March April May June July August September October November December".split(),
        "planets": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split(),
        "programming languages": "Python C Java Rust Go Perl Ruby Haskell".split(),
        "tools": "hammer saw drill screwdriver wrench pliers".split(),
        "drinks": "water tea coffee milk juice lemonade".split(),
    },
    "zh": {
        "颜色": "红色 蓝色 绿色 黄色 黑色 白色 橙色 紫色".split(),
        "水果": "苹果 香蕉 梨 樱桃 橙子 李子 葡萄 柠檬".split(),
        "动物": "猫 狗 马 牛 羊 狮子 熊 狼".split(),
        "星期": "星期一 星期二 星期三 星期四 星期五 星期六 星期日".split(),
        "月份": "一月 二月 三月 四月 五月 六月 七月 八月 九月 十月 十一月 十二月".split(),
        "行星": "水星 金星 地球 火星 木星 土星 天王星 海王星".split(),
        "工具": "锤子 锯子 电钻 螺丝刀 扳手 钳子".split(),
        "饮料": "水 茶 咖啡 牛奶 果汁 汽水".split(),
    },
}
_WORDS = {
    "en": "server page button file window disk network user password folder update printer screen index cable backup".split(),
    "zh": "服务器 页面 按钮 文件 窗口 磁盘 网络 用户 密码 目录 更新 打印机 屏幕 索引 线缆 备份".split(),
}
_SENTENCES = {
    "en": (
        "The {a} is ready.",
        "Please check the {a} and the {b}.",
        "The {a} needs a new {b}.",
        "There is no {a} in the {b}.",
        "My {a} stopped after the {b}.",
    ),
    "zh": ("{a}已经准备好了。", "请检查{a}和{b}。", "{a}需要新的{b}。", "{b}里没有{a}。", "{b}之后{a}停止了。"),
}
_ASK = {
    "en": {
        "add": ("What is {a} plus {b}?", "{a} + {b} = ?", "Add {a} and {b}.", "How much is {a} + {b}?"),
        "subtract": ("What is {a} minus {b}?", "{a} - {b} = ?", "Subtract {b} from {a}."),
        "multiply": ("What is {a} times {b}?", "{a} * {b} = ?", "Multiply {a} by {b}."),
        "larger": ("Which is larger, {a} or {b}?", "Which number is bigger: {a} or {b}?"),
        "copy": ("Repeat this: {x}", "Say exactly: {x}", "Copy the following text.\n{x}", "Write this again: {x}"),
        "list": ("Name {n} {k}.", "List {n} {k}.", "Give me {n} {k} as a list.", "I need {n} {k}."),
        "numbered": ("Make a numbered list of: {x}", "Number these: {x}", "Put these into a numbered list: {x}"),
        "bullets": ("Make a bullet list of: {x}", "Put these into a list: {x}"),
        "count": ("How many items are in this list: {x}?", "Count these: {x}"),
        "next": ("What comes after {x}?", "Continue: {x}, ...", "Which one follows {x}?"),
        "upper": ("Write {x} in capital letters.", "Turn {x} into upper case."),
        "first": ("What is the first word of this sentence: {x}", "Which word comes first? {x}"),
        "sort": ("Sort these numbers: {x}", "Put these numbers in order: {x}"),
        "remember": ("My name is {x}.", "I am {x}."),
        "recall": ("What is my name?", "Do you remember my name?"),
    },
    "zh": {
        "add": ("{a}加{b}等于多少？", "{a} + {b} = ?", "计算 {a} 加 {b}。"),
        "subtract": ("{a}减{b}等于多少？", "{a} - {b} = ?"),
        "multiply": ("{a}乘以{b}等于多少？", "{a} * {b} = ?"),
        "larger": ("{a}和{b}哪个大？", "哪个数更大：{a} 还是 {b}？"),
        "copy": ("请重复：{x}", "请原样说一遍：{x}", "抄写下面的文字。\n{x}"),
        "list": ("说出{n}种{k}。", "列出{n}个{k}。", "给我{n}个{k}的列表。"),
        "numbered": ("把这些编号：{x}", "做一个编号列表：{x}"),
        "bullets": ("做成列表：{x}", "把这些列成清单：{x}"),
        "count": ("这里有几项：{x}？", "数一数：{x}"),
        "next": ("{x}后面是什么？", "接着往下：{x}，……"),
        "upper": ("把 {x} 写成大写。",),
        "first": ("这句话的第一个字是什么：{x}",),
        "sort": ("把这些数字排序：{x}", "从小到大排列：{x}"),
        "remember": ("我叫{x}。", "我的名字是{x}。"),
        "recall": ("我叫什么名字？", "你还记得我的名字吗？"),
    },
}
_NAMES = {
    "en": "Anna Ben Clara David Emma Felix Grace Henry Ida Jonas Kate Liam".split(),
    "zh": "小明 小红 李华 王芳 张伟 刘洋 陈静 赵磊".split(),
}


def tasks(lang: str, count: int, seed: int, split: str = "train") -> list[Task]:
    """``count`` of them, repetitions allowed where there is only so much to say (greetings)."""
    rng = random.Random(f"{seed} chat {lang} {split}")
    makers: tuple[Callable[[str, random.Random], Made], ...] = (
        _talk,
        _sum,
        _copy,
        _listed,
        _numbered,
        _next,
        _sorted,
        _small,
        _recall,
    )
    weights = (18, 22, 14, 12, 10, 8, 6, 6, 4)
    made = [rng.choices(makers, weights)[0](lang, rng) for _ in range(count)]
    return [Task((), question, history, answer, lang, "chat", split) for history, question, answer in made]


def _ask(lang: str, kind: str, rng: random.Random, **slots: object) -> str:
    return rng.choice(_ASK[lang][kind]).format(**slots)


def _talk(lang: str, rng: random.Random) -> Made:
    asked, said = rng.choice(_SAID[lang])
    question = rng.choice(asked)
    if rng.random() < 0.3:
        before, answer = rng.choice(_SAID[lang])
        return ((rng.choice(before), rng.choice(answer)),), question, rng.choice(said)
    return (), question.lower() if rng.random() < 0.3 else question, rng.choice(said)


def _sum(lang: str, rng: random.Random) -> Made:
    kind = rng.choice(("add", "add", "subtract", "multiply", "larger"))
    a, b = (rng.randint(0, 12), rng.randint(0, 12)) if kind == "multiply" else (rng.randint(0, 99), rng.randint(0, 99))
    if kind == "subtract" and b > a:
        a, b = b, a
    if kind == "larger":
        a += a == b
        larger = max(a, b)
        return (), _ask(lang, kind, rng, a=a, b=b), f"{larger} is larger." if lang == "en" else f"{larger}更大。"
    sign, result = {"add": ("+", a + b), "subtract": ("-", a - b), "multiply": ("*", a * b)}[kind]
    dot = "." if lang == "en" else "。"
    return (), _ask(lang, kind, rng, a=a, b=b), f"{a} {sign} {b} = {result}{dot}"


def _sentence(lang: str, rng: random.Random) -> str:
    a, b = rng.sample(_WORDS[lang], 2)
    return rng.choice(_SENTENCES[lang]).format(a=a, b=b)


def _copy(lang: str, rng: random.Random) -> Made:
    said = _sentence(lang, rng)
    if rng.random() < 0.4:
        joint = " " if lang == "en" else ""
        said = f"{said}{joint}{_sentence(lang, rng)}"
    return (), _ask(lang, "copy", rng, x=said), said


def _listed(lang: str, rng: random.Random) -> Made:
    kind, things = rng.choice(list(_THINGS[lang].items()))
    count = rng.randint(2, 5)
    start = rng.randrange(len(things) - count + 1)
    return (), _ask(lang, "list", rng, n=count, k=kind), "\n".join(f"- {one}" for one in things[start : start + count])


def _numbered(lang: str, rng: random.Random) -> Made:
    words = rng.sample(_WORDS[lang], rng.randint(3, 6))
    text = (", " if lang == "en" else "、").join(words)
    kind = rng.choice(("numbered", "bullets", "count"))
    if kind == "count":
        return (
            (),
            _ask(lang, kind, rng, x=text),
            f"There are {len(words)} items." if lang == "en" else f"有{len(words)}项。",
        )
    lines = (f"{at}. {word}" if kind == "numbered" else f"- {word}" for at, word in enumerate(words, start=1))
    return (), _ask(lang, kind, rng, x=text), "\n".join(lines)


def _next(lang: str, rng: random.Random) -> Made:
    names = ("days of the week", "months", "planets") if lang == "en" else ("星期", "月份", "行星")
    things = _THINGS[lang][rng.choice(names)] if rng.random() < 0.5 else [str(n) for n in range(0, 100)]
    at = rng.randrange(len(things) - 1)
    return (), _ask(lang, "next", rng, x=things[at]), f"{things[at + 1]}{'.' if lang == 'en' else '。'}"


def _sorted(lang: str, rng: random.Random) -> Made:
    numbers = rng.sample(range(100), rng.randint(3, 5))
    joint = ", " if lang == "en" else "、"
    return (), _ask(lang, "sort", rng, x=joint.join(map(str, numbers))), joint.join(map(str, sorted(numbers)))


def _small(lang: str, rng: random.Random) -> Made:
    if lang == "en" and rng.random() < 0.5:
        word = rng.choice(_WORDS["en"])
        return (), _ask(lang, "upper", rng, x=word), word.upper()
    said = _sentence(lang, rng)
    first = said.split(" ")[0] if lang == "en" else said[0]
    return (), _ask(lang, "first", rng, x=said), first


def _recall(lang: str, rng: random.Random) -> Made:
    name = rng.choice(_NAMES[lang])
    hello = f"Hello {name}! How can I help you?" if lang == "en" else f"你好，{name}！有什么可以帮你？"
    told = _ask(lang, "remember", rng, x=name)
    if rng.random() < 0.5:
        return (), told, hello
    return ((told, hello),), _ask(lang, "recall", rng), f"Your name is {name}." if lang == "en" else f"你叫{name}。"

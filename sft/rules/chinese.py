"""Chinese questions, as users of Chinese docs write them. Every form is correct whatever fills it."""

from __future__ import annotations

import re

from sft.rules.language import Asked, Heading, Language, fill
from sft.rules.text import balanced

FORMS: dict[str, tuple[str, ...]] = {
    "define-name": (
        "{t}是做什么用的？",
        "{t}这个{k}是什么意思？",
        "请解释一下{k} {t}。",
        "{t} 含义",
        "{c}里的{t}有什么作用？",
        "{c}中的{k} {t} 是什么意思？",
        "{c} {t}",
        "我在配置{c}时看到了{t}，它是控制什么的？",
        "{c}的{t}该怎么设置，有什么需要注意的？",
    ),
    "define-phrase": (
        "{c}里说的“{h}”是什么意思？",
        "能解释一下{c}中的“{h}”吗？",
        "关于{c}的“{h}”，我需要了解什么？",
    ),
    "default": (
        "{t}的默认值是多少？",
        "不设置{t}的话，会用什么值？",
        "{t} 默认值",
        "{c}里{t}的默认值是什么？",
        "{c} {t} 默认值",
    ),
    "values": (
        "{t}可以取哪些值？",
        "{t}有哪些可选项？",
        "{t} 可选值",
        "{c}里的{t}支持哪些取值？",
    ),
    "reverse-context": ("在{c}里，{q}", "使用{c}时，{q}"),
    "how-to": (
        "怎么{goal}？",
        "如何{goal}？",
        "我想{goal}，应该怎么做？",
        "请问怎样{goal}？",
        "在{c}里怎么{goal}？",
        "使用{c}时，如何{goal}？",
    ),
    "trouble": (
        "{symptom}，怎么办？",
        "{symptom}，该怎么解决？",
        "我在用{c}，{symptom}，是什么原因，怎么处理？",
    ),
    "trouble-error": (
        "报错{symptom}，怎么解决？",
        "运行时出现{symptom}，是什么原因？",
        "用{c}的时候遇到{symptom}，该怎么办？",
    ),
    "difference": (
        "{a}和{b}有什么区别？",
        "{a}与{b}的区别是什么？",
        "{a} {b} 区别",
        "我不确定该用{a}还是{b}，它们有什么不同？",
    ),
    "difference-pages": (
        "{t}在{a}和{b}里的含义分别是什么？",
        "{a}和{b}都有{t}，分别怎么理解？",
        "对比一下{a}与{b}中的{t}。",
    ),
    "record": (
        "{c}中，{h}这一{f}的详细信息是什么？",
        "请列出{c}里{f} {h} 的详细信息。",
    ),
    "field": (
        "{c}中，{h}的{f}是什么？",
        "{h}的{f}是什么？",
        "{h} {f}",
        "请问{h}对应的{f}是什么？",
    ),
    "overview": (
        "请简单介绍一下{c}。",
        "能概括地讲讲{c}吗？",
        "我刚开始接触{c}，需要先了解什么？",
        "{c} 简介",
    ),
    "list": (
        "{c}的{h}都有哪些？请逐个简要说明。",
        "请列出{c}的{h}以及各自的作用。",
    ),
    "whole-page": (
        "请完整、详细地讲解{c}。",
        "我需要关于{c}的完整文档。",
        "请把{c}相关的内容完整写出来。",
        "请给我一份{c}的完整指南。",
    ),
    "follow-default": ("那它的默认值呢？", "默认是什么？", "如果不设置它呢？"),
    "follow-other": ("那{t}呢？", "{t}又是做什么的？", "那么{t}呢，有什么不同？"),
    "follow-section": ("那{h}呢？", "再说说{h}。", "那么{h}这部分呢？"),
    "follow-notes": ("使用它有什么需要注意的吗？", "关于它还有更多细节吗？"),
    "missing": (
        "{t}是做什么用的？",
        "{t}的默认值是多少？",
        "在{c}里怎么使用{t}？",
        "{t}可以取哪些值？",
        "{c}里的{t}应该设置成多少？",
    ),
    "missing-tech": (
        "怎么把{c}接入{tech}？",
        "{c}可以和{tech}一起使用吗？",
        "我想在{c}里用{tech}，需要设置什么？",
        "{c}支持对接{tech}吗？",
    ),
    "answer-default": ("{t}的默认值是{v}。", "{t}默认为{v}。", "不设置时，{t}为{v}。"),
    "answer-both": ("{a}和{b}都属于“{h}”：",),
    "answer-field": ("{h}的{f}是{v}。",),
    "lead-commands": ("命令如下：",),
    "lead-code": ("示例如下：",),
    "in": ("在{c}中",),
}

_VERBS = (
    "开始|进行|安装|使用|配置|设置|部署|导出|注册|自定义|准备|启动|运行|创建|添加|增加|构建|下载|转换|评测|量化|合并|推送|加载|保存|修改|"
    "查看|调用|编写|实现|开启|关闭|指定|切换|恢复|继续|断点续训|训练|微调|推理|测试|验证|接入|集成|迁移|升级|更新|卸载|删除|选择|减少|"
    "降低|提高|加速|优化|避免|解决|处理|调试|获取|读取|上传|拉取|打开|禁用|启用|控制|调整|改变|限制|定义|编译|执行|复现|对接|检查"
)
_STARTS_WITH_VERB = re.compile(
    rf"(?:{_VERBS}|在.{{2,16}}(?:{_VERBS})|对.{{2,16}}(?:进行|{_VERBS})|将.{{2,24}}|把.{{2,24}}|从.{{2,16}}(?:{_VERBS}))"
)
_NOUN_END = re.compile(
    r"(?:示例|样例|例子|参数|介绍|说明|方法|流程|配置|结果|概述|概览|脚本|文件|格式|步骤|要求|环境|机制|原理|策略|方案|模型|数据集?|列表|"
    r"细节|命令|模板|函数|类型|技巧|实践|能力|功能|支持|指南|教程|过程|代码|架构|结构|情况|问题|错误|评测集|镜像|框架|引擎|服务|"
    r"模式|版本|接口|准备|方式|选项|性能|指标|效果|事项|优势|设计)$"
)
_ACTION_END = re.compile(
    r"(?:安装|部署|训练|微调|推理|导出|量化|评测|推送|合并|转换|注册|采样|预训练|调试|迁移|并行训练)$"
)
_QUESTION = re.compile(r"[？?]$|如何|怎么|怎样|为什么|什么|是否|哪些|能不能|可不可以|吗$")
_NUMBERING = re.compile(
    r"^(?:[qQ]\d+\s*[:：.、]\s*|第[一二三四五六七八九十\d]+[种个点步类]\s*[:：、]\s*|"
    r"(?:方法|方式|方案|做法|区别|场景|情况|示例)\s*[\d一二三四五六七八九十]+\s*[:：、.]\s*|"
    r"第?[一二三四五六七八九十]+[、.章节步]\s*|步骤\s*[\d一二三四五六七八九十]+\s*[:：.、]?\s*|\(?（?\d+(?:\.\d+)*\)?）?[.、:：)]?\s+|\d+(?:\.\d+)*[.、]\s*)"
)
_VAGUE = re.compile(
    r"(?:这[些个里样种]|该(?!参数组)|此(?!外)|其(?!他|它|中|余)|它们?|上[述面]|下[述面]|如下|以[上下]|本[节文页])"
)
_TROUBLE = re.compile(
    r"失败|报错|错误|异常|OOM|显存不足|内存不足|卡住|卡死|无法|不能|找不到|不生效|警告|超时|不足|爆显存|溢出|冲突|不一致|缓慢|过慢|NaN|nan|问题"
)
_ENDS_IN_TROUBLE = re.compile(r"(?<!常见)(?:报错|出错|错误|异常|失败|OOM|卡住|不生效)$")
_SKIP = frozenset(["参考", "参考资料", "参考文献", "注意", "提示", "结论", "致谢", "链接", "说明", "备注", "TODO"])


def _noun(heading: str, term: str) -> str:
    if re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", term):
        return "环境变量" if "_" in term else ""
    for word in ("参数", "选项", "字段", "指标", "环境变量", "命令"):
        if word in heading:
            return word
    if heading.endswith("统计"):
        return "指标"
    return "选项" if term.startswith("--") else ""


def _phrase(text: str, longest: int = 40) -> str:
    text = re.sub(r"\*\*", "", text).strip(" ，,。；;：:")
    text = re.sub(r"(?:您|你)(?:的|自己的)?", "", text)
    fits = 2 <= len(text) <= longest and balanced(text) and not _VAGUE.search(re.sub(r"`[^`]*`", "", text))
    return text if fits and "](" not in text and "http" not in text and re.search(r"[\u4e00-\u9fff]", text) else ""


_REVERSE = (
    (re.compile(r"(?:用于|用来)(?:控制|指定|设置|决定)?(是否.+|.+)"), "哪个{k}用来{x}？"),
    (re.compile(r"(?:控制|决定|指定)?(是否.+)"), "哪个{k}控制{x}？"),
    (re.compile(r"(指定.+|控制.+|设置.+|启用.+|开启.+|限制.+)"), "哪个{k}可以{x}？"),
    (re.compile(r"(.{2,24}(?:的)?(?:数量?|大小|比例|系数|阈值|概率|间隔|路径|目录|上限|下限|权重|长度|步数|轮数|名称|次数|维度|种子|学习率|方式|类型|策略|粒度|精度))"), "哪个{k}设置{x}？"),
)  # fmt: skip


def _reverse(text: str, noun: str) -> tuple[str, ...]:
    first = re.split(r"[，。；：:（(,]|\. ", text.strip(), maxsplit=1)[0]
    for pattern, form in _REVERSE:
        found = pattern.fullmatch(first)
        if found:
            whole = text.strip()[: found.end()]
            x = _phrase(found[1])
            if not x or len(x) < 5:
                return ()
            if form.startswith("哪个{k}用来"):
                x = re.sub(r"^用[于来]", "", whole)
                form = "哪个{k}用来控制{x}？" if x.startswith("是否") else form
            if noun == "指标":  # it is read, not set
                form = form.replace("设置", "表示")
            return (form.format(k=noun or "设置项", x=x),)
    return ()


_DEFAULT = re.compile(
    r"默认(?:值)?(?:为|是|：|:)\s*(?P<v>`[^`]+`|'[^']+'|\"[^\"]+\"|“[^”]+”|\[[^\]]*\]|[-\w./+]+?)(?=[。；]|\.(?:\s|$)|$)",
    re.ASCII,
)


def _default(text: str) -> str:
    found = _DEFAULT.findall(text)
    many = text.count("默认") > 1 or "否则" in text
    return found[0] if len(found) == 1 and not many else ""


def _has_values(text: str) -> bool:
    return (
        re.search(
            r"可选(?:项|值|择)?(?:为|有|包括|是|：|:)|选项(?:为|包括|有)|取值(?:为|包括|有)|可以(?:是|为)['\"`]", text
        )
        is not None
    )


_GOALS = (
    re.compile(r"^(?:如果|若|当)(?:你|您|用户|我们)?(?:想要?|需要?|希望|打算)(?:要)?([^，,：:。]{3,44}?)(?:时|的话)?[，,：:]"),
    re.compile(r"^(?:如需要?|若需要?|为了|想要|要想)([^，,：:。]{3,44}?)[，,：:]"),
    re.compile(r"^(?:你|您)?(?:可以|也可以|可|请)?(?:使用|通过|用|利用)[^，。：:]{2,50}?来([^，。：:]{3,30})[：:。，]"),
    re.compile(rf"^((?:{_VERBS})[^，。：:]{{2,30}})[：:]$"),
)  # fmt: skip


def _goal(sentence: str) -> str:
    for pattern in _GOALS:
        found = pattern.match(sentence)
        if found:
            goal = _phrase(found[1])
            return goal if goal and _STARTS_WITH_VERB.match(goal) and not goal.endswith(("的", "了")) else ""
    return ""


def _symptom(sentence: str) -> str:
    found = re.match(r"^(?:如果|若|当)(?:你|您)?([^，,。]{4,80}?)(?:时|的话|的时候|，则)?[，,]\s*\S", sentence)
    if not found or not _TROUBLE.search(found[1]) or re.match(r"(?:想|需要|希望|要|不想|不需要|设置)", found[1]):
        return ""
    return _phrase(re.sub(r"^在(?=.+[中里时](?:遇到|出现))", "", found[1]), 70)


def _difference(sentence: str) -> tuple[str, str] | None:
    found = re.match(
        r"^(?:注意[：:])?([^，。]{2,50}?)(?:和|与|跟)([^，。]{2,50}?)(?:之间)?的区别(?:是|在于|为|：|:)", sentence
    )
    if not found or any(_VAGUE.search(part) or not balanced(part) for part in found.groups()):
        return None
    return found[1].replace("**", ""), found[2].replace("**", "")


def _heading(heading: Heading) -> Asked | None:
    text = _NUMBERING.sub("", heading.text).strip(" :：。")
    if not text or len(text) > 50 or text in _SKIP or _VAGUE.search(text) or not balanced(text):
        return None
    slots = {"h": text, "c": heading.context if heading.context.lower() not in text.lower() else ""}
    if _QUESTION.search(text):
        return _asked_question(text, slots)
    if _ENDS_IN_TROUBLE.search(text) and len(text) > 4:
        asked = fill(FORMS["trouble"], heading.seed, bool(slots["c"]), slots | {"symptom": text})
        return Asked(tuple(asked))
    generic = _generic(text, heading)
    if generic is not None:
        return generic
    if _STARTS_WITH_VERB.match(text) and not _NOUN_END.search(text) and len(text) > 3:
        return Asked(tuple(fill(FORMS["how-to"], heading.seed, False, slots | {"goal": text})), True)
    if _ACTION_END.search(text) and len(text) > 2 and not _STARTS_WITH_VERB.match(text):
        forms = (
            "如何进行{h}？",
            "{h}怎么做？",
            "我想做{h}，具体步骤是什么？",
            "在{c}中，如何进行{h}？",
            "{c}的{h}怎么做？",
        )
        return Asked(tuple(fill(forms, heading.seed, bool(slots["c"]), slots)), True)
    return _noun_phrase(slots, heading)


def _asked_question(text: str, slots: dict[str, str]) -> Asked:
    asked = text if re.search(r"[？?。]$", text) else f"{text}？"
    how = re.match(r"(?:如何|怎么|怎样)", text) is not None
    return Asked((asked, f"{slots['c']}：{asked}") if slots["c"] else (asked,), how)


_GENERIC = (
    (r"介绍|简介|概述|概览|背景|摘要|总结|算法概述|方法概述|能力介绍", ("{c}是做什么的？", "请介绍一下{c}。", "{c} 简介")),
    (r".{0,8}(?:参数|参数设置|参数说明|参数配置|配置|设置|选项|参数介绍|参数列表)", ("{c}有哪些{h}？", "我想配置{c}，{h}有哪些？", "{c} {h}")),
    (r"(?:使用|训练|代码|完整|简单)?(?:示例|样例|例子|用法|脚本|示例脚本|使用|使用方法|使用方式|训练脚本)", ("能给一个{c}的示例吗？", "{c}怎么用？请给个例子。", "{c} 示例")),
    (r"安装|环境准备|环境安装|环境配置|准备工作|前置条件|依赖|依赖安装", ("使用{c}需要准备什么环境？", "{c}的环境怎么准备？", "{c} 环境准备")),
    (r"快速开始|快速入门|快速上手|入门", ("怎么快速上手{c}？", "第一次用{c}，应该从哪里开始？")),
    (r"核心思想|原理|算法原理|基本原理|动机|核心概念|方法", ("{c}的{h}是什么？", "能解释一下{c}的{h}吗？")),
    (r"注意事项|使用限制|限制|局限性|须知|注意点", ("使用{c}时要注意什么？", "{c}有哪些{h}？")),
    (r"实验|结果|实验结果|训练效果|效果", ("{c}的{h}怎么样？", "{c}的{h}如何？")),
    (r"实现|实现细节|具体实现|代码实现", ("{c}是怎么实现的？", "能讲讲{c}的实现吗？")),
    (r"特性|功能|支持的功能|能力|功能特性", ("{c}有哪些功能？", "{c}能做什么？")),
)  # fmt: skip


def _generic(text: str, heading: Heading) -> Asked | None:
    for pattern, forms in _GENERIC:
        if re.fullmatch(pattern, text):
            how = "环境" in forms[0] or "上手" in forms[0]
            return Asked(tuple(fill(forms, heading.seed, True, {"c": heading.owner, "h": text})), how)
    return None


def _noun_phrase(slots: dict[str, str], heading: Heading) -> Asked:
    if heading.has_commands:
        forms: tuple[str, ...] = (
            "请讲讲{c}的{h}，并给出命令。",
            "{c}的{h}具体怎么操作？",
            "请讲讲{h}，并给出命令。",
            "关于{h}，具体要执行哪些命令？",
        )
    elif heading.has_code:
        forms = ("请结合代码讲讲{c}的{h}。", "{c}的{h}是怎样的？最好有例子。", "请结合代码讲讲{h}。")
    else:
        forms = ("请介绍一下{c}的{h}。", "{c}的{h}是怎样的？", "{c} {h}", "请介绍一下{h}。", "能详细说说{h}吗？")
    return Asked(tuple(fill(forms, heading.seed, bool(slots["c"]), slots)), heading.has_commands)


CHINESE = Language("zh", FORMS, _noun, _reverse, _default, _has_values, _goal, _symptom, _difference, _heading)

"""Chinese: questions that one sentence of a page answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reading.statements import Asked
from sft.rules.text import balanced

_NAME = r"(?P<s>[^，。；：、？！]{2,22}?)"
_BAD = re.compile(
    r"^(?:这|那|该|此|它|其|本|上|下|以|如|因|所|但|而|且|并|或|又|也|都|还|就|只|在|对|从|由|为|当|若|请|您|你|我|他|有|每|另|同|一般|通常|"
    r"选择|找到|点击|单击|双击|右击|打开|关闭|切换|输入|按下?|拖动|执行|运行|指定|定义|设置|显示|创建|删除|添加|插入|启用|禁用|返回|保存|确定|允许|控制|包含|注意|例如|比如|然后|接着|首先|最后|其中|如果|虽然|由于|可以|不|使用|通过|与|和|将|把|要|需)|(?:这|那|上述|下面|以下|如下|的|了|时|后|前|中)$|[也都只还仅均将总就已会再才]$"
)


def questions(sentence: str) -> Iterator[Asked]:
    """``sentence``: one sentence with its full stop."""
    said = sentence.rstrip("。！；：. ").strip()
    for pattern in (_conditions, _possibilities, _defaults, _denials, _purposes, _acts, _identities, _places, _reasons):
        yield from pattern(said)


def subject_of(text: str) -> str:
    text = text.strip(" ，")
    han = len(re.findall(r"[\u4e00-\u9fff]", text))
    return (
        ""
        if not text or _BAD.search(text) or not balanced(text) or (han < 2 and not re.search(r"[A-Za-z]{2}", text))
        else text
    )


def _object(text: str) -> str:
    cut = re.split(r"[，。；：（(]", text)[0].strip()
    return (
        ""
        if not balanced(cut)
        or len(cut) < 3
        or len(cut) > 30
        or re.search(r"[这那它其此该您你]|以下|上述|下列|如下", cut)
        else cut
    )


def _conditions(said: str) -> Iterator[Asked]:
    found = re.match(
        r"(?:如果|若|当|假如|一旦)(?:您|你)?(?P<c>[^，]{4,40}?)(?:的话|的同时|时|的时候|之?后)?，(?:那么?|则)?(?P<r>.{5,})",
        said,
    )
    if not found or re.search(r"[这那它其此该]", found["c"]):
        return
    clause = re.sub(r"[您你](?:的|自己的)?", "", found["c"])
    if re.match(r"(?:想|希望|需要|要|打算)", clause):
        goal = re.sub(r"^(?:想要?|希望|需要|要|打算)", "", clause)
        if len(goal) > 3:
            yield Asked("how-to", f"怎么{goal}？")
        return
    told = re.match(r"(?:请|您|你|可以|应|需|必须|使用|尝试|检查)", found["r"])
    yield Asked("condition", f"{clause}怎么办？" if told else f"如果{clause}会怎样？")


def _possibilities(said: str) -> Iterator[Asked]:
    found = re.search(
        r"(?:您|你|用户|管理员)?(?:可以|能够|可)(?:使用|通过|用|利用|按|在)(?P<x>[^，。；]{2,30}?)(?:来|以|，|里|中)(?P<v>[^，。；]{3,30})",
        said,
    )
    goal = _object(found["v"]) if found else ""
    if found and goal:
        yield Asked("how-to", f"怎么{goal}？")
        yield Asked("how", f"用什么可以{goal}？")
        return
    found = re.match(r"(?:[^，]{2,20}，)?(?:您|你|用户|也)*(?:可以|能够)(?P<v>[^，。；]{4,30})", said)
    goal = _object(found["v"]) if found else ""
    if goal:
        yield Asked("can", f"可以{goal}吗？")
    found = re.match(r"(?:要|若要|为了|想要|要想)(?P<v>[^，。；]{3,30})，(?P<r>.{5,})", said)
    goal = _object(found["v"]) if found else ""
    if goal:
        yield Asked("how-to", f"如何{goal}？")


def _defaults(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}的?(?:默认值|缺省值|默认|缺省)(?:值)?(?:是|为|设置为|设为)", said)
    subject = subject_of(found["s"]) if found else ""
    if subject:
        yield Asked("default", f"{subject}的默认值是什么？", subject, "它的默认值呢？")
    found = re.match(rf"(?:默认情况下|缺省情况下|默认时|默认地?)，?{_NAME}(?P<v>会|将|使用|是|为|在|不)", said)
    subject = subject_of(found["s"]) if found else ""
    if subject:
        yield Asked("default", f"默认情况下{subject}是怎样的？", subject, "默认情况下呢？")


def _denials(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}(?P<n>不能|无法|不可以|不会|不支持|不需要|不必|不允许)(?P<p>[^，。；]{{2,30}})", said)
    subject = subject_of(found["s"]) if found else ""
    if found and subject and _object(found["p"] + "  "):
        verb = {"不能": "能", "无法": "能", "不可以": "可以", "不会": "会", "不支持": "支持", "不允许": "允许"}.get(
            found["n"], "需要"
        )
        yield Asked("yes-no", f"{subject}{verb}{found['p'].strip()}吗？", subject, f"它{verb}{found['p'].strip()}吗？")


def _purposes(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}(?:是|主要|可|可以|被)?(?:用于|用来|用以)(?P<x>[^。；]{{3,}})", said)
    subject = subject_of(found["s"]) if found else ""
    if found and subject:
        yield Asked("purpose", f"{subject}有什么用？", subject, "它有什么用？")
        goal = _object(found["x"])
        if goal:
            yield Asked("reverse", f"什么可以用来{goal}？", subject)


_ACTS = "允许|控制|指定|设置|决定|显示|返回|包含|提供|支持|需要|要求|使用|输出|读取|打开|创建|删除|列出|执行|表示|定义|保存|启用|禁用|改变|影响|包括|限制|生成"


def _acts(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}(?:将会?|会|则|可以|能够?|必须|应该?)?(?P<v>{_ACTS})(?P<o>[^。；]{{3,}})", said)
    subject = subject_of(found["s"]) if found else ""
    if not found or not subject or re.search(r"的$|[是在被]", subject):
        return
    verb = found["v"]
    yield Asked("act", f"{subject}{verb}什么？", subject, f"它{verb}什么？")
    what = _object(found["o"])
    if what:
        noun = re.search(r"(?:选项|命令|参数|函数|变量|文件|按钮|菜单|工具|程序|字段|模块|设置)$", subject)
        yield Asked("reverse", f"{'哪个' + noun[0] if noun else '什么'}{verb}{what}？", subject)
        if verb in ("支持", "需要", "允许", "包含", "提供", "要求"):
            yield Asked("yes-no", f"{subject}{verb}{what}吗？", subject, f"它{verb}{what}吗？")


def _identities(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}(?:是指|指的是|是|表示|意味着)(?P<p>一[个种组]|指|[^否不由因为从]{{4}}).{{3,}}", said)
    subject = subject_of(found["s"]) if found else ""
    if found and subject and not re.search(r"[^的]{2}的$|如果|所以|就|都$", subject):
        yield Asked("define", f"{subject}是什么？", subject, "它是什么？")


def _places(said: str) -> Iterator[Asked]:
    found = re.match(rf"{_NAME}(?:位于|存放在|保存在|存储在|安装在|放在)(?P<o>.{{3,}})", said)
    subject = subject_of(found["s"]) if found else ""
    if subject:
        yield Asked("where", f"{subject}在哪里？", subject, "它在哪里？")


def _reasons(said: str) -> Iterator[Asked]:
    found = re.match(r"(?:由于|因为)(?P<r>[^，]{4,40})，(?:所以|因此)?(?P<m>[^，。；]{5,30})", said)
    what = _object(found["m"]) if found else ""
    if what and not re.match(r"(?:您|你|请|我)", what):
        yield Asked("why", f"为什么{what}？")

"""The words of the scorecard, in English and Chinese. Both languages have the same keys and fields."""

from __future__ import annotations

from collections.abc import Sequence

from evals.look.text import line
from evals.look.words import LANGUAGES, SHARED
from evals.look.words import Words as Shared
from evals.scorecard.measures import BY_NAME
from evals.scorecard.results import Column, Contrast, Difference, Gate, Score, Scorecard, Side, Skipped, Verdict, Worst

OWN: dict[str, dict[str, str]] = {
    "en": {
        "title": "Scorecard",
        "said.space": " ",
        "said.better": "“{after}” tells more of the facts than “{before}”: {second} against {first}, {points} points more (95 % interval: {low} to {high}; {n} questions).",
        "said.worse": "“{after}” tells fewer of the facts than “{before}”: {second} against {first}, {points} points fewer (95 % interval: {low} to {high}; {n} questions).",
        "said.open": "No difference is proven in the facts that “{after}” and “{before}” tell: {second} against {first}, {points} points (95 % interval: {low} to {high}; {n} questions).",
        "said.more.better": "“{name}” is better in: {names}.",
        "said.more.worse": "“{name}” is worse in: {names}.",
        "said.also.better": "“{name}” is also better in: {names}.",
        "said.also.worse": "“{name}” is also worse in: {names}.",
        "said.also.none": "Nothing else is proven to differ.",
        "said.nothing": "Nothing is proven to differ.",
        "said.one": "“{name}” tells {value} of the facts that good answers hold (95 % interval: {low} to {high}; {n} questions). Nothing stands beside it, so nothing is compared.",
        "said.none": "The facts that answers tell were not measured, so this does not say who knows the docs.",
        "limits.questions": "What this does not prove: that it holds for other questions than ones like these {n} (set {set}), or for other docs.",
        "limits.matching": "Facts are found by key words and by meaning, not by people: single answers may be judged otherwise.",
        "general.none": "General ability was not measured, so whether anything else was forgotten is not known.",
        "general.one": "General ability was measured of one model only, so whether anything was forgotten is not known.",
        "general.lost": "General ability was lost: {second} with “{after}”, {first} with “{before}” (95 % interval of the difference: {low} to {high} points).",
        "general.gained": "General ability did not suffer: {second} with “{after}”, {first} with “{before}” (95 % interval of the difference: {low} to {high} points).",
        "general.open": "No loss of general ability is proven, and none is ruled out beyond the interval: {second} with “{after}”, {first} with “{before}” (95 % interval of the difference: {low} to {high} points).",
        "meta": "{n} questions of the set {set}",
        "gate.passed": "Gate passed",
        "gate.failed": "Gate not passed",
        "gate.passed.how": "No measure is worse than in {baseline} by more than {margin} points, beyond chance ({n} compared).",
        "gate.failed.how": "Worse than in {baseline} by more than {margin} points, beyond chance:",
        "gate.line": "{name}, {measure}: {first} before, {second} now, {points} points ({low} to {high})",
        "gate.alone": "{name}: only in {file}, not compared",
        "gate.unmeasured": "{name}: not measured in both: {names}",
        "triangle": "The impossible triangle",
        "triangle.how": "Training on docs tends to win one corner and lose another. A corner is 100 %, the middle 0. Accuracy: facts recalled. Completeness: steps of a procedure told, in order. General ability: share of tasks apart from the docs that are right, by the model that the voice uses.",
        "accuracy": "Accuracy",
        "complete": "Completeness",
        "general": "General ability",
        "unmeasured": "not measured",
        "no_model": "no model",
        "triangle.alt": "{name}: accuracy {accuracy}, completeness {complete}, general ability {general}",
        "figures": "The figures",
        "figures.how": "Below each figure: its 95 % interval over questions. Overlapping intervals do not yet mean that nothing differs: the comparisons below are paired, and sharper.",
        "measure": "Measure",
        "up": "more is better",
        "down": "less is better",
        "completeness": "Completeness",
        "refusal_precision": "Refusal precision",
        "refusal_recall": "Refusal recall",
        "judge": "Judge",
        "degenerate": "Degenerate",
        "failed": "Failed",
        "length_ratio": "Length against reference",
        "latency_ms": "Whole answer",
        "p95": "95 %: {p95}",
        "how.facts_recalled": "Of the facts that a good answer holds, those that are told.",
        "how.completeness": "Of the steps of a procedure, those told, in order.",
        "how.faithful": "Of the statements, those that the docs bear out.",
        "how.citation_precision": "Of the citations, those whose passage says so.",
        "how.citation_recall": "Of the sentences, those that the cited passages bear out.",
        "how.refusal_precision": "Of the refusals, those of questions that the docs do not answer.",
        "how.refusal_recall": "Of the questions that the docs do not answer, those refused.",
        "how.judge": "What a judge model gives.",
        "how.degenerate": "Answers that loop, break off or are empty.",
        "how.degraded": "Answers that no model wrote: quoted passages stand in.",
        "how.failed": "Questions to which the gateway gave no whole answer.",
        "how.length_ratio": "The driblet index: characters of the answer / of the reference, geometric mean; 1.0 is as long. Below 1 the voice answers in driblets, above it rambles.",
        "how.tokens": "Of an answer, on average.",
        "how.first_ms": "The middle question's; until the first token.",
        "how.latency_ms": "The middle question's; until the end.",
        "contrasts": "Side by side, question by question",
        "contrasts.how": "Both answered the same questions, so the difference of each question counts. The dot is the difference, the line its 95 % interval in points; a line that touches the middle proves nothing. Green: better, orange: worse.",
        "contrast.run": "{name}: {first}, then {second}",
        "contrast.arm": "{after} against {before}",
        "contrast.of": "{n} questions",
        "difference": "Difference",
        "verdict.better": "better",
        "verdict.worse": "worse",
        "verdict.open": "not proven",
        "verdict.": "–",
        "points": "points",
        "range": "{low} to {high}",
        "part.lang": "By language",
        "part.kind": "By kind of question",
        "part.how": "Facts recalled; of questions that the docs do not answer: refusal recall. All measures are in the tables to unfold.",
        "part.all": "All measures: {part}",
        "part.count": "{part} ({n})",
        "kind.single": "One answer",
        "kind.steps": "Steps",
        "kind.follow-up": "Follow-up",
        "kind.unanswerable": "Not in the docs",
        "abilities": "General ability",
        "abilities.how": "Tasks apart from the docs ({suite}); each voice by its model: reading the docs adds nothing here.",
        "abilities.none": "Not measured for these runs: docduet eval general does, with the same label.",
        "task": "Task",
        "task.all": "All tasks",
        "worst": "The ten worst questions",
        "worst.few": "The worst questions",
        "worst.how": "Lowest scores first. What a good answer holds and this one does not say is listed below it.",
        "worst.none": "Every question was answered in full.",
        "answer.none": "(the run keeps no answer)",
        "missing": "Does not say",
        "sources": "Cites",
        "score": "score {score}",
        "is.refused": "refused",
        "is.unanswerable": "not in the docs",
        "is.degraded": "degraded: {why}",
        "is.degenerate": "degenerate: {how}",
        "how.loop": "loop",
        "how.unfinished": "unfinished",
        "how.empty": "empty",
        "notes": "How to read this",
        "note.many": "{count} differences are looked at here: about {chance} would look clear by chance alone.",
        "note.seed": "Intervals: bootstrap over questions, paired where two are compared, {level} %, seed {seed}; Wilson's where a question counts whole or all are alike.",
        "note.general": "General ability belongs to the model: the voice that reads the docs is shown with its model's.",
        "note.dash": "A dash: not measured, or nothing to measure (a voice that never refuses has no refusal precision).",
        "provenance": "What was measured",
        "col.run": "Run",
        "col.set": "Set",
        "col.model": "Model",
        "col.checkpoint": "Checkpoint",
        "col.dataset": "Trained on",
        "col.index": "Index",
        "col.day": "Day",
        "step": "step {step}",
        "problems": "Not used",
    },
    "zh": {
        "title": "成绩单",
        "said.space": "",
        "said.better": "“{after}”答出的事实多于“{before}”：{second} 对 {first}，多 {points} 个百分点（95% 区间：{low} 至 {high}；{n} 个问题）。",
        "said.worse": "“{after}”答出的事实少于“{before}”：{second} 对 {first}，少 {points} 个百分点（95% 区间：{low} 至 {high}；{n} 个问题）。",
        "said.open": "没有证明“{after}”与“{before}”答出的事实有差别：{second} 对 {first}，相差 {points} 个百分点（95% 区间：{low} 至 {high}；{n} 个问题）。",
        "said.more.better": "“{name}”在以下方面更好：{names}。",
        "said.more.worse": "“{name}”在以下方面更差：{names}。",
        "said.also.better": "“{name}”还在以下方面更好：{names}。",
        "said.also.worse": "“{name}”还在以下方面更差：{names}。",
        "said.also.none": "没有证明其他方面有差别。",
        "said.nothing": "没有证明任何差别。",
        "said.one": "“{name}”答出了好答案应含事实的 {value}（95% 区间：{low} 至 {high}；{n} 个问题）。旁边没有别的声部，因此没有比较。",
        "said.none": "没有衡量答出了多少事实，因此无法说明谁了解文档。",
        "limits.questions": "这并不证明：对于与这 {n} 个问题（问题集 {set}）不同的问题，或对于别的文档，结论也成立。",
        "limits.matching": "事实按关键词和语义识别，不是由人判断：个别答案的评价可能不同。",
        "general.none": "没有衡量通用能力，因此不知道是否遗忘了别的东西。",
        "general.one": "只衡量了一个模型的通用能力，因此不知道是否遗忘了什么。",
        "general.lost": "通用能力有所损失：“{after}”为 {second}，“{before}”为 {first}（差值的 95% 区间：{low} 至 {high} 个百分点）。",
        "general.gained": "通用能力没有受损：“{after}”为 {second}，“{before}”为 {first}（差值的 95% 区间：{low} 至 {high} 个百分点）。",
        "general.open": "没有证明通用能力有损失，但在区间范围内也不能排除：“{after}”为 {second}，“{before}”为 {first}（差值的 95% 区间：{low} 至 {high} 个百分点）。",
        "meta": "问题集 {set} 的 {n} 个问题",
        "gate.passed": "通过门槛",
        "gate.failed": "未通过门槛",
        "gate.passed.how": "没有一项指标比 {baseline} 差出 {margin} 个百分点以上且超出偶然范围（比较了 {n} 项）。",
        "gate.failed.how": "以下指标比 {baseline} 差出 {margin} 个百分点以上，且超出偶然范围：",
        "gate.line": "{name}，{measure}：此前 {first}，现在 {second}，{points} 个百分点（{low} 至 {high}）",
        "gate.alone": "{name}：只在 {file} 中有，没有比较",
        "gate.unmeasured": "{name}：没有在两次评测中都衡量：{names}",
        "triangle": "不可能三角",
        "triangle.how": "用文档训练，往往得了一角、失了另一角。顶点为 100%，中心为 0。准确：事实召回。完整：操作步骤按顺序答出了多少。通用能力：该声部所用的模型在文档之外的任务上答对的比例。",
        "accuracy": "准确",
        "complete": "完整",
        "general": "通用能力",
        "unmeasured": "未衡量",
        "no_model": "没有模型",
        "triangle.alt": "{name}：准确 {accuracy}，完整 {complete}，通用能力 {general}",
        "figures": "各项数字",
        "figures.how": "每个数字下面是它在问题上的 95% 区间。区间重叠还不等于没有差别：下面的比较是配对的，更为灵敏。",
        "measure": "指标",
        "up": "越高越好",
        "down": "越低越好",
        "completeness": "完整度",
        "refusal_precision": "拒答精确率",
        "refusal_recall": "拒答召回率",
        "judge": "评判",
        "degenerate": "退化",
        "failed": "失败",
        "length_ratio": "与参考答案的长度比",
        "latency_ms": "完整答案",
        "p95": "95%：{p95}",
        "how.facts_recalled": "好答案应含的事实中，答出的比例。",
        "how.completeness": "操作步骤中，按顺序答出的比例。",
        "how.faithful": "所作陈述中，有文档依据的比例。",
        "how.citation_precision": "引用中，所引段落确实这样说的比例。",
        "how.citation_recall": "句子中，所引段落能够证实的比例。",
        "how.refusal_precision": "拒答中，文档确实没有答案的比例。",
        "how.refusal_recall": "文档没有答案的问题中，拒答的比例。",
        "how.judge": "评判模型给出的分数。",
        "how.degenerate": "循环、中断或空白的答案。",
        "how.degraded": "不是由模型写出的答案：以引用的段落代替。",
        "how.failed": "网关没有给出完整答案的问题。",
        "how.length_ratio": "挤牙膏指数：答案字符数 / 参考答案字符数的几何平均，1.0 为一样长。小于 1 是挤牙膏，大于 1 是啰嗦。",
        "how.tokens": "每个答案的平均值。",
        "how.first_ms": "居中的问题，直到第一个词元。",
        "how.latency_ms": "居中的问题，直到结束。",
        "contrasts": "逐题并排比较",
        "contrasts.how": "两者回答了相同的问题，因此每个问题的差值都算数。圆点是差值，横线是以百分点计的 95% 区间；横线碰到正中，就什么都没有证明。绿色：更好；橙色：更差。",
        "contrast.run": "{name}：从 {first} 到 {second}",
        "contrast.arm": "“{after}”对“{before}”",
        "contrast.of": "{n} 个问题",
        "difference": "差值",
        "verdict.better": "更好",
        "verdict.worse": "更差",
        "verdict.open": "未证明",
        "verdict.": "–",
        "points": "百分点",
        "range": "{low} 至 {high}",
        "part.lang": "按语言",
        "part.kind": "按问题类型",
        "part.how": "事实召回；对于文档没有答案的问题，是拒答召回率。全部指标见可展开的表格。",
        "part.all": "全部指标：{part}",
        "part.count": "{part}（{n}）",
        "kind.single": "单一答案",
        "kind.steps": "步骤",
        "kind.follow-up": "追问",
        "kind.unanswerable": "文档中没有",
        "abilities": "通用能力",
        "abilities.how": "文档之外的任务（{suite}）；每个声部按其模型计：查阅文档在这里不起作用。",
        "abilities.none": "没有为这些评测衡量：用相同的标签运行 docduet eval general 即可。",
        "task": "任务",
        "task.all": "全部任务",
        "worst": "答得最差的十个问题",
        "worst.few": "答得最差的问题",
        "worst.how": "得分最低的在前。好答案应含而这里没有答出的，列在答案下面。",
        "worst.none": "每个问题都答全了。",
        "answer.none": "（评测没有保存答案）",
        "missing": "没有答出",
        "sources": "引用",
        "score": "得分 {score}",
        "is.refused": "拒答",
        "is.unanswerable": "文档中没有",
        "is.degraded": "降级：{why}",
        "is.degenerate": "退化：{how}",
        "how.loop": "循环",
        "how.unfinished": "中断",
        "how.empty": "空白",
        "notes": "怎样阅读这份成绩单",
        "note.many": "这里共看了 {count} 项差值：单凭偶然，大约就有 {chance} 项会显得明确。",
        "note.seed": "区间：在问题上做自助法，比较两者时配对，{level}%，种子 {seed}；每个问题只算是或否，或所有问题都一样时，用 Wilson 区间。",
        "note.general": "通用能力属于模型：查阅文档的声部显示其模型的通用能力。",
        "note.dash": "横线：没有衡量，或没有可衡量的（从不拒答的声部没有拒答精确率）。",
        "provenance": "衡量的是什么",
        "col.run": "评测",
        "col.set": "问题集",
        "col.model": "模型",
        "col.checkpoint": "检查点",
        "col.dataset": "训练数据",
        "col.index": "索引",
        "col.day": "日期",
        "step": "第 {step} 步",
        "problems": "没有使用",
    },
}

TEXTS = {lang: SHARED[lang] | OWN[lang] for lang in LANGUAGES}


class Words(Shared):
    """The scorecard in one language: ``en`` or ``zh``."""

    texts = TEXTS

    def voice(self, column: Column) -> str:
        """What the arm is called, whatever run it is of."""
        return self.named("voice", "quote" if column.quoting else column.arm)

    def column(self, column: Column) -> str:
        """With the run's label, where there are several runs."""
        return f"{self.voice(column)} · {column.label}" if self.tag(column) else self.voice(column)

    def tag(self, column: Column) -> str:
        """The run's label, unless the name says as much."""
        return "" if column.quoting and column.label.lower() in ("quote", "quoting") else column.label

    def before(self, card: Scorecard, contrast: Contrast) -> str:
        return self.column(card.columns[contrast.before])

    def after(self, card: Scorecard, contrast: Contrast) -> str:
        return self.column(card.columns[contrast.after])

    def contrast(self, card: Scorecard, contrast: Contrast) -> str:
        """A title."""
        first, second = card.columns[contrast.before], card.columns[contrast.after]
        if contrast.kind == "run":
            return self("contrast.run", name=self.voice(second), first=first.label, second=second.label)
        return self("contrast.arm", before=self.column(first), after=self.column(second))

    def joined(self, names: Sequence[str]) -> str:
        return self("list").join(names)

    def measures(self, names: Sequence[str]) -> str:
        """As they stand in a sentence."""
        return self.joined([self(name).lower() for name in names])

    def shown(self, measure: str, value: float | None) -> str:
        """A value of a measure: ``82 %``, ``0.84``, ``1.4 s``."""
        if value is None:
            return "–"
        form = BY_NAME[measure].form
        if BY_NAME[measure].share:
            return self.percent(value)
        return self.time(value) if form == "ms" else f"{value:.2f}" if form == "ratio" else f"{value:,.0f}"

    def interval(self, measure: str, score: Score) -> str:
        """``74 – 87 %``, ``0.8 s – 1.4 s``; nothing where nothing is known."""
        if score.value is None or (score.low == score.high and not BY_NAME[measure].share):
            return ""
        low, high = self.shown(measure, score.low), self.shown(measure, score.high)
        return f"{low.rstrip(' %')} – {high}" if BY_NAME[measure].share else f"{low} – {high}"

    def points(self, share: float, signed: bool = False) -> str:
        """A difference of shares in percentage points: ``4.2``, ``+4.2``, ``−0.8``."""
        text = f"{abs(100 * share):.1f}"
        return f"{'−' if share < 0 else '+' if share > 0 else ''}{text}" if signed else text

    def change(self, one: Difference, value: float) -> str:
        """A difference in the unit of its measure, with its sign."""
        form = BY_NAME[one.measure].form
        if BY_NAME[one.measure].share:
            return self.points(value, signed=True)
        if value in (float("inf"), float("-inf")):
            return "?"
        size = (
            self.time(abs(value)) if form == "ms" else f"{abs(value):.2f}" if form == "ratio" else f"{abs(value):,.0f}"
        )
        return f"{'−' if value < 0 else '+' if value > 0 else ''}{size}"

    def range(self, one: Difference) -> str:
        """The interval of a difference."""
        return self("range", low=self.change(one, one.low), high=self.change(one, one.high))

    def gate_lines(self, gate: Gate) -> list[str]:
        """What failed, and what could not be compared."""
        return [self.gate_line(verdict) for verdict in gate.failures] + [self.skipped(one) for one in gate.skipped]

    def skipped(self, one: Skipped) -> str:
        """What the gate left out."""
        name = self.named("voice", one.arm)
        if one.measures:
            return self("gate.unmeasured", name=name, names=self.measures(one.measures))
        return self("gate.alone", name=name, file=one.file)

    def gate_line(self, verdict: Verdict) -> str:
        """One measure that failed."""
        one = verdict.difference
        return self(
            "gate.line",
            name=self.named("voice", verdict.arm) + (f" · {line(verdict.label)}" if verdict.label else ""),
            measure=self(one.measure),
            first=self.percent(one.before, 1),
            second=self.percent(one.after, 1),
            points=self.points(one.value, signed=True),
            low=self.points(one.low, signed=True),
            high=self.points(one.high, signed=True),
        )

    def corner(self, quoting: bool, corner: str, share: float | None) -> str:
        """A corner of the triangle."""
        if share is not None:
            return self.percent(share)
        return self("no_model" if quoting and corner == "general" else "unmeasured")

    def tags(self, found: Worst) -> list[str]:
        """What a question is."""
        told = [found.id, self.named("lang", found.lang), self.named("kind", found.kind)]
        if found.answerable is False and found.kind != "unanswerable":
            told.append(self("is.unanswerable"))
        return [text for text in told if text]

    def badges(self, side: Side) -> list[str]:
        """What an answer is."""
        told = [self("score", score=self.percent(side.score))]
        told += [self("is.refused")] if side.refused else []
        told += [self("is.degraded", why=side.degraded)] if side.degraded else []
        told += [self("is.degenerate", how=self(f"how.{side.degenerate}"))] if side.degenerate else []
        return told

    FACTS = ("run", "set", "model", "checkpoint", "dataset", "index", "day")

    def facts(self, column: Column) -> list[str]:
        """What a column is made of, under the heads `FACTS`."""
        step = "" if column.checkpoint_step is None else self("step", step=f"{column.checkpoint_step:,}")
        checkpoint = " · ".join(filter(None, (column.checkpoint, step)))
        model = column.model or column.base_model
        found = (column.file, column.set, model, checkpoint, column.dataset_sha256[:12], column.generation)
        return [text or "–" for text in (*found, column.started_at[:10])]

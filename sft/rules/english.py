"""English questions. Every form is grammatical whatever fills it; what does not fit a form gets none."""

from __future__ import annotations

import re

from sft.rules.language import Asked, Heading, Language, fill
from sft.rules.text import balanced

FORMS: dict[str, tuple[str, ...]] = {
    "define-name": (
        "What does {t} do?",
        "What is {t} for?",
        "What does the {t} {k} do?",
        "Can you explain the {t} {k}?",
        "{t} meaning",
        "What does {t} do in {c}?",
        "In {c}, what is the {t} {k} for?",
        "{c} {t}",
        "I'm setting up {c} and came across {t}. What does it control?",
        "Explain {t} in {c} and how it should be set.",
        "{c}: what does {t} mean, and is there anything to watch out for?",
    ),
    "define-phrase": (
        "What is meant by {h} in {c}?",
        "Can you explain {h} in {c}?",
        '{c}: what does "{h}" mean?',
        "What should I know about {h} in {c}?",
    ),
    "default": (
        "What is the default of {t}?",
        "What value does {t} have if I don't set it?",
        "{t} default value",
        "What is the default of {t} in {c}?",
        "{c} {t} default",
        "If I leave {t} out in {c}, which value is used?",
    ),
    "values": (
        "Which values can {t} take?",
        "What are the options for {t}?",
        "{t} allowed values",
        "Which values does {t} accept in {c}?",
        "{c}: what can I set {t} to?",
    ),
    "reverse-context": ("In {c}, {q}", "I'm working with {c}: {q}"),
    "how-to": (
        "How do I {goal}?",
        "How can I {goal}?",
        "I want to {goal}. What do I have to do?",
        "how to {goal}",
        "In {c}, how do I {goal}?",
        "I'm using {c} and need to {goal}. How does that work?",
    ),
    "trouble": (
        "{symptom}. What is wrong and how do I fix it?",
        "{symptom}. What should I do?",
        "I'm working with {c}. {symptom}. How can I solve this?",
    ),
    "trouble-error": (
        "I get {symptom}. What does it mean and how do I fix it?",
        "{symptom}: how do I solve this?",
        "My run with {c} stops with {symptom}. What should I do?",
    ),
    "difference": (
        "What is the difference between {a} and {b}?",
        "How do {a} and {b} differ?",
        "{a} vs {b}",
        "I'm not sure whether I need {a} or {b}. How do they differ?",
    ),
    "difference-pages": (
        "What does {t} mean in {a} and in {b}?",
        "Compare {t} in {a} with {t} in {b}.",
    ),
    "record": (
        "What does the documentation list for {h} ({f})?",
        "Give me the details of the {f} {h}.",
        "{c}: what is listed for the {f} {h}?",
    ),
    "field": (
        "{c}: what is the {f} of {h}?",
        "What is the {f} of {h}?",
        "{h} {f}",
        "Which {f} is listed for {h}?",
        "Which {f} does the documentation give for {h}?",
    ),
    "overview": (
        "Can you give me an overview of {c}?",
        "What should I know about {c} to begin with?",
        "Give me a short introduction to {c}.",
        "{c} overview",
    ),
    "list": (
        "Which {k}s are there under {h} in {c}?",
        "Give me a list of all {h} in {c}, with what each does.",
        "What {h} does {c} have? A short summary of each, please.",
    ),
    "whole-page": (
        "Explain {c} in full, with all the details.",
        "I need the complete documentation on {c}.",
        "Write down everything there is to know about {c}.",
        "Give me a complete guide to {c}.",
    ),
    "follow-default": ("And its default?", "What is its default?", "Which value does it have if I leave it out?"),
    "follow-other": ("What about {t}?", "And {t}?", "What does {t} do, in comparison?"),
    "follow-section": ("And what about {h}?", "What about {h}?", "Now tell me about {h}.", "How about {h}?"),
    "follow-notes": ("Is there anything to watch out for with it?", "Any more details on that one?"),
    "missing": (
        "What does {t} do?",
        "What is the default of {t}?",
        "How do I use {t} in {c}?",
        "Which values can {t} take?",
        "In {c}, what should I set {t} to?",
    ),
    "missing-tech": (
        "How do I connect {c} to {tech}?",
        "Does {c} work together with {tech}?",
        "I want to use {tech} with {c}. Which settings do I need?",
        "Is there an integration of {c} with {tech}?",
    ),
    "answer-default": ("{t} defaults to {v}.", "The default of {t} is {v}.", "If you don't set it, {t} is {v}."),
    "answer-both": ("{a} and {b} are both described under {h}:",),
    "answer-field": ("The {f} of {h} is {v}.",),
    "lead-commands": ("Run:",),
    "lead-code": ("For example:",),
    "in": ("In {c}",),
}

_VERBS = frozenset(
    """
    add adjust ask build call change check choose configure connect convert create customize debug define deploy disable
    download enable evaluate export find fine-tune handle implement import improve install integrate launch limit load
    make merge migrate monitor optimize point prepare preprocess push quantize read reduce register remove replace reset
    restart resume run save select serve set setup specify start stop sync train turn tune uninstall update upgrade
    upload use verify view write get pass perform combine compile compute control continue accelerate apply avoid
    inspect modify obtain override pull switch test keep visualize
    """.split()  # noqa: SIM905
)
_NOUNISH = re.compile(
    r"^(?:use cases?|build (?:system|process)|debug mode|test results?|set of|run time|check list)\b", re.I
)
_ING_NOUN = frozenset(
    ["training", "testing", "meaning", "packing", "logging", "sampling", "pricing", "setting", "scaling", "padding"]
)
_QUESTION = re.compile(r"^(?:how|what|why|when|where|which|who|can|could|does|do|is|are|should|will)\b", re.IGNORECASE)
_NUMBERING = re.compile(
    r"^(?:(?:step|q|chapter|part)\s*\d+\s*[:.)-]?|"
    r"(?:method|option|approach|difference|case|scenario|solution|example)\s*\d+\s*[:.)-]|"
    r"\(?\d+(?:\.\d+)*\)?[.:)]?)\s+|^[qQ]\d+[:.：]\s*",
    re.I,
)
_VAGUE = re.compile(
    r"\b(?:this|these|those|it|its|them|they|above|below|following|such|here|that case)\b", re.IGNORECASE
)
_TROUBLE = re.compile(
    r"\b(?:errors?|exceptions?|fails?|failed|failure|crash\w*|hang\w*|stuck|OOM|out of memory|cannot|can't|unable|"
    r"not found|does not work|doesn't work|missing|slow|NaN|warning|timeout|times out|mismatch|insufficient|problems?|issues?)\b",
    re.IGNORECASE,
)
_IS_SENTENCE = re.compile(r"\b(?:occurr?(?:s|ed)|is|are|was|were|has|have|does|do|fails|failed|raises|raised|shows)\b")
_SKIP = frozenset(
    [
        "references",
        "reference",
        "note",
        "notes",
        "conclusion",
        "acknowledgements",
        "acknowledgments",
        "links",
        "see",
        "also",
    ]
)


def _noun(heading: str, term: str) -> str:
    low = heading.lower()
    if re.fullmatch(r"[A-Z][A-Z0-9_]{3,}", term):
        return "environment variable" if "_" in term else ""
    if term.startswith("--"):
        return "option"
    for word in ("argument", "parameter", "option", "field", "metric", "command", "setting"):
        if word in low:
            return word
    return "metric" if "statistic" in low else ""


def _you_to_i(text: str) -> str:
    for a, b in (("you are", "I am"), ("you're", "I'm"), ("your", "my"), ("yourself", "myself"), ("you", "I")):
        text = re.sub(rf"\b{a}\b", b, text, flags=re.IGNORECASE)
    return text


def _phrase(text: str, longest: int = 16) -> str:
    """A cut piece of a sentence, if it can stand in a question."""
    text = re.sub(r"\*\*", "", text).strip(" ,.;:")
    fits = 2 <= len(text.split()) <= longest and balanced(text) and not _VAGUE.search(re.sub(r"`[^`]*`", "", text))
    return _you_to_i(text) if fits and "](" not in text and "http" not in text else ""


_REVERSE = (
    (re.compile(r"(?:Whether|Controls whether|Determines whether|Specifies whether)(?: or not)? (to .+|.+)"), "which {k} controls whether {x}?"),
    (re.compile(r"(?:Used|This is used|Is used) (to|for) (.+)"), "which {k} is used {x} {y}?"),
    (re.compile(r"(?:Specif(?:y|ies)|Indicates?) ((?:the|a|an|which|how) .+)"), "which {k} specifies {x}?"),
    (re.compile(r"(?:Controls?) ((?:the|a|an|which|how) .+)"), "which {k} controls {x}?"),
    (re.compile(r"(?:Sets?) ((?:the|a|an) .+)"), "which {k} sets {x}?"),
    (re.compile(r"Enables? ((?:the )?[a-z].+)"), "which {k} do I need to enable {x}?"),
    (re.compile(r"((?:The|A|An) (?:maximum|minimum|total|number|size|path|name|type|ratio|directory|weight|interval|"
                r"list|coefficient|threshold|probability|learning|dimension|length|rank|port|address|strategy)\b.+)"), "which {k} sets {x}?"),
    (re.compile(r"((?:Maximum|Minimum|Total|Number|Size|Path|Ratio|Directory|Weight|Interval|Coefficient|Threshold|"
                r"Dimension|Global|Learning rate|Weight decay|Rank|Port)\b.+)"), "which {k} sets the {x}?"),
)  # fmt: skip


def _reverse(text: str, noun: str) -> tuple[str, ...]:
    """ "Whether to use X." -> "which parameter controls whether to use X?"."""
    first = re.split(r"(?<=\w|`|\)|')[.;]\s|[.;]$|,| \(|\. |: ", text.strip(), maxsplit=1)[0]
    for pattern, form in _REVERSE:
        found = pattern.fullmatch(first)
        if not found:
            continue
        parts = [part for part in found.groups() if part]
        x = parts[0][0].lower() + parts[0][1:] if not parts[0][:2].isupper() else parts[0]
        if len(first.split()) < 4 or not (x == "to" or x == "for" or _phrase(x)):
            return ()
        y = _phrase(parts[1], 18) if len(parts) > 1 else ""
        if len(parts) > 1 and not y:
            return ()
        if noun == "metric":  # it is read, not set
            form = form.replace("{k} sets", "{k} shows")
        return (form.format(k=noun or "setting", x=_you_to_i(x), y=y),)
    return ()


_DEFAULT = re.compile(
    r"\b[Dd]efault(?:s)?(?: value)?(?:s to| to| is| are|:)\s+(?P<v>`[^`]+`|'[^']+'|\"[^\"]+\"|\[[^\]]*\]|[-\w./+]+?)(?=\.(?:\s|$)|$)"
)


def _default(text: str) -> str:
    """The one value that the text gives as the default; "" when there is none, or more than one."""
    found = _DEFAULT.findall(text)
    many = len(re.findall(r"\bdefaults?\b", text, re.IGNORECASE)) > 1 or re.search(
        r"\botherwise\b", text, re.IGNORECASE
    )
    return found[0] if len(found) == 1 and not many else ""


def _has_values(text: str) -> bool:
    return re.search(r"\b(?:optional values|options (?:are|include)|choices(?: are|:)|available (?:options|values)|"
                     r"can be (?:set to )?['\"`]|possible values|supported values)", text, re.IGNORECASE) is not None  # fmt: skip


_GOALS = (
    re.compile(r"^To ((?!be\b|date\b)[a-z][\w-]+ [^,:]{6,90}?),\s"),
    re.compile(r"^(?:If|When) you (?:want|need|wish|would like|prefer) to ([^,:]{8,90}?),\s"),
    re.compile(r"^You can (?:also )?((?!set\b|use\b|refer\b|see\b|find\b|also\b|directly\b|specify\b|pass\b)[a-z]+ [^,:.]{8,70}?) (?:by|using|via) "),
    re.compile(r"^(?:Please )?(?:[Uu]se|[Ss]et|[Aa]dd|[Pp]ass|[Rr]un) `[^`]+`(?: [a-z]+){0,3} to ([a-z]+ [^,.:;]{8,80})[.,:;]"),
    re.compile(r"^The following \w+(?: \w+)? (?:shows how to|can be used to|is used to|demonstrates how to) ([^,:.]{8,90})[.:,]"),
    re.compile(r"^(?:For example, )?[Tt]o ((?!be\b)[a-z][\w-]+ [^,:]{6,80}?):$"),
)  # fmt: skip


def _goal(sentence: str) -> str:
    for pattern in _GOALS:
        found = pattern.match(sentence)
        if found:
            goal = _phrase(found[1])
            verb = goal.split()[0].lower() if goal else ""
            return goal if verb in _VERBS else ""
    return ""


def _symptom(sentence: str) -> str:
    """A clause such as "The loss is NaN" that somebody with the problem would write."""
    found = re.match(r"^(?:If|When) ([^,]{8,110}?),\s+\S", sentence)
    if not found or not _TROUBLE.search(re.sub(r"`(?![^`]*(?:Error|Exception))[^`]*`", "", found[1])):
        return ""
    # A clause without a subject ("When training fails" has one, "When reading models" has none) makes no sentence.
    if re.match(
        r"(?:you (?:want|need|wish|would|prefer|do not|don't|are|use|set)\b|[a-z]+ing (?!fails|hangs|is|runs|crashes))",
        found[1],
    ):
        return ""
    clause = _phrase(re.sub(r"\ban? following\b|\bthe following\b", "an", found[1]))
    return clause[0].upper() + clause[1:] if clause else ""


def _difference(sentence: str) -> tuple[str, str] | None:
    found = re.match(
        r"^(?:Note: )?The (?:main |key )?differences? between (.{2,60}?) and (.{2,60}?)(?: is\b| are\b|:| lies?\b)",
        sentence,
    )
    if not found or any(_VAGUE.search(part) or not balanced(part) for part in found.groups()):
        return None
    return found[1].replace("**", ""), found[2].replace("**", "")


def _heading(heading: Heading) -> Asked | None:
    text = _NUMBERING.sub("", heading.text).strip(" :.")
    low, words = text.lower(), text.split()
    if not words or len(words) > 14 or low in _SKIP or _VAGUE.search(text) or not balanced(text):
        return None
    slots = {"h": text, "c": heading.context if heading.context.lower() not in low else ""}
    if not text.endswith("?") and _IS_SENTENCE.search(text) and not _QUESTION.match(text):
        symptom = {"symptom": text[0].upper() + text[1:]} if _TROUBLE.search(text) else {}
        return Asked(tuple(fill(FORMS["trouble"], heading.seed, bool(slots["c"]), slots | symptom)))
    if text.endswith("?") or _QUESTION.match(text):
        return _asked_question(text, slots, heading)
    generic = _generic(low, heading)
    if generic is not None:
        return generic
    verb = _base_verb(words[0]) if len(words) > 1 else ""
    if verb and not _NOUNISH.match(text):
        goal = " ".join([verb, *words[1:]])
        return Asked(tuple(fill(FORMS["how-to"], heading.seed, False, slots | {"goal": _you_to_i(goal)})), True)
    return _noun_phrase(slots, heading)


def _asked_question(text: str, slots: dict[str, str], heading: Heading) -> Asked | None:
    found = re.match(r"how to (.+?)\??$", text, re.IGNORECASE)
    if found:
        slots = slots | {"goal": _you_to_i(found[1])}
        return Asked(tuple(fill(FORMS["how-to"], heading.seed, False, slots)), True)
    if not text.endswith("?"):
        return None
    asked = (text, f"{slots['c']}: {text}") if slots["c"] else (text,)
    return Asked(asked, text.lower().startswith("how"))


_GENERIC = (
    (r"introduction|overview|background|abstract|what it is|summary", ("What is {c} about?", "Can you give me an introduction to {c}?", "{c} overview")),
    (r"(?:[\w-]+ )?(?:(?:parameters|arguments|options|configuration|settings)(?: (?:settings?|description|explanation|list))?|(?:parameter|argument) (?:settings?|descriptions?|explanations?|list))", ("Which {h} does {c} have?", "I want to configure {c}. Which {h} are there?", "{c} {h}")),
    (r"(?:usage |training |code |simple |full )?(?:examples?|usage|demo|scripts?)(?: scripts?)?", ("Can you show me how {c} is used, with an example?", "I'd like an example of {c}.", "{c} example")),
    (r"installation|install|setup|environment (?:setup|preparation|installation)|preparation|prerequisites|requirements", ("What do I have to install and prepare for {c}?", "How do I set up the environment for {c}?", "{c} environment setup")),
    (r"quick start|getting started|start", ("How do I get started with {c}?", "I'm new to {c}. What are the first steps?")),
    (r"core (?:idea|concept)s?|principles?|algorithm(?: (?:overview|principles?))?|method(?: overview)?|motivation", ("What is the {h} behind {c}?", "Can you explain the {h} of {c}?")),
    (r"tips|precautions|limitations|caveats|important notes|considerations|cautions", ("What should I watch out for with {c}?", "{c}: what are the pitfalls and limits?")),
    (r"results?|experiment(?:s|al)? results?|experiments", ("Which results are reported for {c}?", "What results does {c} reach?")),
    (r"implementation(?: details)?", ("How is {c} implemented?", "Can you explain how {c} is implemented?")),
    (r"features?|supported features|capabilities", ("What can {c} do?", "Which features does {c} have?")),
)  # fmt: skip


def _generic(low: str, heading: Heading) -> Asked | None:
    """Headings that only say something together with what they belong to; an empty Asked where that is unknown."""
    for pattern, forms in _GENERIC:
        if re.fullmatch(pattern, low):
            how = "set up" in forms[1] or "get started" in forms[0]
            return Asked(tuple(fill(forms, heading.seed, True, {"c": heading.owner, "h": low})), how)
    return None


def _base_verb(word: str) -> str:
    """ "Installing" -> "install", "Install" -> "install"; "" for what is no verb we know."""
    low = word.lower()
    if low in _VERBS:
        return low
    if not low.endswith("ing") or low in _ING_NOUN:
        return ""
    stem = low[:-3]
    for base in (stem, f"{stem}e", stem[:-1] if stem[-2:-1] == stem[-1:] else stem):
        if base in _VERBS:
            return base
    return ""


def _noun_phrase(slots: dict[str, str], heading: Heading) -> Asked:
    if heading.has_commands:
        forms: tuple[str, ...] = (
            "Can you walk me through {h} in {c}, with the commands?",
            "{c}: {h}, step by step please",
            "Can you walk me through {h}, with the commands?",
            "I need instructions for {h}. Which commands do I run?",
        )
    elif heading.has_code:
        forms = (
            "Can you explain {h} in {c} with an example?",
            "What does {h} look like in {c}? Please show the code.",
            "Can you explain {h} with an example?",
        )
    else:
        forms = (
            "Can you explain {h} in {c}?",
            "What should I know about {h} in {c}?",
            "{c} {h}",
            "What does the documentation say about {h}?",
            "Tell me about {h}.",
        )
    return Asked(tuple(fill(forms, heading.seed, bool(slots["c"]), slots)), heading.has_commands)


ENGLISH = Language("en", FORMS, _noun, _reverse, _default, _has_values, _goal, _symptom, _difference, _heading)

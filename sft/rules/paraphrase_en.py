"""English questions reworded. A masked question in (a private character for each name), another wording out.

frames_en.py finds what is asked for and has other forms of asking it; `swapped` exchanges words; the rest is manner:
keywords only, small letters, a missing question mark, a slip of the finger.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache

from sft.rules.frames_en import ASKED, CONTEXT, FRAMES, PLACED
from sft.rules.lexicon import gerund, lexicon, participle, plural

_BEFORE = (
    "Hi, ", "Hello, ", "Hey, ", "Quick question: ", "Sorry for the basic question: ", "Question from a customer: ",
    "Good morning! ", "One more thing: ", "Just wondering, ", "Hi there. ", "For a ticket: ", "Excuse me, ", "So ",
)  # fmt: skip
_AFTER = (
    " Thanks!",
    " Thank you.",
    " Thanks in advance.",
    " please",
    " I couldn't find it.",
    " It's urgent.",
    " Any hint?",
)
_STOP = frozenset(
    """
    a an the i i'm i'd we you me my your our it its is are was be been being am do does did done can could should would
    will may might must to of for in on at by with from into as and or if when so that this these those there here how
    what which who why where what's have has had need want like know tell explain please show about any some not no
    don't doesn't use used using get way steps mean means work works happens happen one they somebody someone them
    """.split()
)
_BEFORE_NOUN = frozenset(
    """
    the a an my your our each all any this that no which what every some another one two three other new own of for in
    on with from by to into as and or more extra additional different existing current specific certain given single
    several multiple full first last second
    """.split()
)
_AFTER_NOUN = frozenset(
    """
    of for in on with from by to into as and or is are was were that which when if at be can should must will do does
    using without has have not than after before between during while
    """.split()
)
_ADVERBS = frozenset(["automatically", "manually", "quickly", "temporarily", "permanently", "also", "always", "only"])
_SWAP = 0.45


def reword(question: str, rng: random.Random) -> str:
    """One other wording of a masked question."""
    context, asked = _context(question)
    bare = asked.rstrip(" ?.!")
    roll = rng.random()
    if roll < 0.1 and len(_keywords(bare)) > 1:
        return _as_keywords(bare, context, rng)
    said = _framed(bare, rng) if roll < 0.82 else ""
    said = said or _capitalised(swapped(bare, rng)) + ("?" if asked.endswith("?") else "")
    if context:
        said = _in_place(said, context, rng)
    return _manner(said, rng)


def _context(question: str) -> tuple[str, str]:
    found = CONTEXT.fullmatch(question)
    if not found:
        return "", question
    context = found["c"] or found["c2"] or found["c3"]
    asked = found["q"]
    return context, f"how do I {asked}" if re.search(r"and need to $", question[: found.start("q")]) else asked


def _in_place(said: str, context: str, rng: random.Random) -> str:
    small = said if re.match(r"I\b|I'", said) else said[:1].lower() + said[1:]
    return rng.choice(PLACED).format(c=context, q=small, Q=said)


def _framed(bare: str, rng: random.Random) -> str:
    """What is asked for, asked in another frame; "" where it is not understood."""
    for kind, pattern in ASKED:
        found = pattern.fullmatch(bare)
        if not found:
            continue
        slots = {name.rstrip("23"): text for name, text in found.groupdict().items() if text}
        if any(not text.strip() or len(text) > 160 for text in slots.values()):
            return ""
        return _filled(kind, slots, rng)
    return ""


def _filled(kind: str, slots: dict[str, str], rng: random.Random) -> str:
    frames = FRAMES[kind]
    if "t" in slots and re.match(r"(?:what|how|why|whether)\b|.* (?:is|are|does|do) ", slots["t"]):
        return ""
    if "g" in slots:
        verb, rest = _verb_of(slots["g"])
        if not verb:
            frames = tuple(frame for frame in frames if "{ing}" not in frame)
        else:
            other = _substitute("verbs", verb, rng)
            slots["ing"] = f"{gerund(other)}{swapped(rest, rng)}"
            slots["g"] = f"{other}{swapped(rest, rng)}"
    else:
        slots = {name: swapped(text, rng) for name, text in slots.items()}
    if "s" in slots:
        slots["S"] = _capitalised(slots["s"])
    return _articled(_capitalised(rng.choice(frames).format(**slots)))


def _verb_of(goal: str) -> tuple[str, str]:
    """("set up", " the server"): the verb of the lexicon that a goal begins with, else its first word, if it is plain."""
    verbs = lexicon("en")["verbs"]
    words = goal.split(" ")
    for count in (2, 1):
        head = " ".join(words[:count]).lower()
        if head in verbs:
            return head, goal[len(head) :]
    if words[0].lower() in _ADVERBS or not re.fullmatch(r"[a-z]{2,}", words[0]) or words[0] in ("be", "not", "have"):
        return "", goal
    return words[0], goal[len(words[0]) :]


def _substitute(part: str, word: str, rng: random.Random) -> str:
    others = lexicon("en")[part].get(word)
    return rng.choice(others) if others and rng.random() < _SWAP + 0.2 else word


def swapped(text: str, rng: random.Random) -> str:
    """Phrases, and words where their neighbours tell what they are, exchanged for others at the rate _SWAP."""
    for phrase, others in lexicon("en")["phrases"].items():
        if phrase in text and rng.random() < _SWAP:
            text = re.sub(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", rng.choice(others), text, count=1)
    words = re.split(r"(\s+)", text)
    bare = [word.lower().strip(",;:()") for word in words]
    for at in range(0, len(words), 2):
        before = bare[at - 2] if at else ""
        after = "" if at + 2 >= len(words) or words[at] != words[at].strip(",;:()") else bare[at + 2]
        other = _other(bare[at], before, after, rng)
        if other and words[at].lower().startswith(bare[at]):
            words[at] = other + words[at][len(bare[at]) :]
    return "".join(words)


def _other(word: str, before: str, after: str, rng: random.Random) -> str:
    if rng.random() > _SWAP or not word:
        return ""
    words = lexicon("en")
    if before == "to" and word in words["verbs"]:
        return rng.choice(words["verbs"][word])
    for part, place, form in (("ing", _GERUND_AFTER, gerund), ("ed", _PARTICIPLE_AFTER, participle)):
        verb = _forms(part).get(word)
        if verb and before in place:
            return form(rng.choice(words["verbs"][verb]))
    for part in ("adjectives", "adverbs"):
        if word in words[part]:
            return rng.choice(words[part][word])
    noun = _forms("s").get(word) or (word if word in words["nouns"] else "")
    fits = before in _BEFORE_NOUN and (not after or after in _AFTER_NOUN or before in ("which", "what"))
    if noun and fits:
        other = rng.choice(words["nouns"][noun])
        return other if noun == word else plural(other)
    return ""


_GERUND_AFTER = frozenset("for by when while of before after without with about start avoid".split())
_PARTICIPLE_AFTER = frozenset("is are was were be been being gets get not".split())


@cache
def _forms(form: str) -> dict[str, str]:
    """Inflected word -> its base, of all in the lexicon."""
    part = "nouns" if form == "s" else "verbs"
    make: Callable[[str], str] = {"s": plural, "ing": gerund, "ed": participle}[form]
    return {make(word): word for word in lexicon("en")[part] if " " not in word and make(word) != word}


def _articled(text: str) -> str:
    text = re.sub(r"\b([Aa]) (?=[aeiou](?!ni|se|ne\b|sa))", r"\1n ", text)
    return re.sub(r"\b([Aa])n (?=[bcdfgjklmnpqrstvwyz])", r"\1 ", text)


def _keywords(bare: str) -> list[str]:
    return [word for word in re.findall(r"[\ue000-\uf7ff]|[\w'-]+", bare) if word.lower() not in _STOP]


def _as_keywords(bare: str, context: str, rng: random.Random) -> str:
    words = [word if re.match(r"[A-Z][a-z]+$", word) is None else word.lower() for word in _keywords(bare)]
    if rng.random() < 0.3:
        at = rng.randrange(len(words))
        words = words[at:] + words[:at]
    if context:
        words = [context, *words] if rng.random() < 0.7 else [*words, context]
    return " ".join(words)


def _manner(said: str, rng: random.Random) -> str:
    """Polite, or in a hurry."""
    roll = rng.random()
    if roll < 0.12:
        before = rng.choice(_BEFORE)
        small = said if re.match(r"I\b|I'", said) or before.endswith((". ", "! ")) else said[:1].lower() + said[1:]
        said = before + small
    elif roll < 0.2:
        after = rng.choice(_AFTER)
        said = f"{said[:-1]},{after}{said[-1]}" if after == " please" and said[-1:] in "?." else said + after
    if rng.random() < 0.3:
        said = _hurried(said, rng)
    return _slip(said, rng) if rng.random() < 0.07 else said


def _hurried(said: str, rng: random.Random) -> str:
    said = said.lower() if rng.random() < 0.75 else said
    if rng.random() < 0.6:
        said = said.rstrip("?.!")
    if rng.random() < 0.3:
        said = re.sub(r"(?<= )(?:the|an?) ", "", said, count=2)
    for full, short in (("please", "pls"), ("don't", "dont"), ("can't", "cant"), ("what's", "whats"), ("i'm", "im")):
        if rng.random() < 0.3:
            said = re.sub(rf"\b{full}\b", short, said)
    return said


def _slip(said: str, rng: random.Random) -> str:
    """Two letters the wrong way round, one left out, or one doubled: in one word, never in a name."""
    places = list(re.finditer(r"(?<![\w'-])[a-z]{5,}(?![\w'-])", said))
    if not places:
        return said
    place = rng.choice(places)
    at = rng.randrange(place.start() + 1, place.end() - 2)
    kind = rng.randrange(3)
    middle = (said[at + 1] + said[at], said[at + 1], said[at] * 2 + said[at + 1])[kind]
    return said[:at] + middle + said[at + 2 :]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]

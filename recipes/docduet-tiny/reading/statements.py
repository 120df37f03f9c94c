"""English: questions that one sentence of a page answers. Patterns only; what fits none gives no question.

`questions("The `-v` option prints the version.")` -> what it prints, what prints the version, what `-v` is for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """``follow``: the same with "it" for the subject; "" where that says nothing."""

    kind: str
    question: str
    subject: str = ""
    follow: str = ""


_ACTS = """
specify control set determine return allow provide contain enable print display read write create support require use
start stop remove define describe make give show list accept take handle send receive store keep hold include generate
produce convert install run execute load save update change add delete check verify test disable prevent protect limit
restrict cause affect represent indicate mean perform manage implement offer help let open close connect wait listen
begin end install replace report record log search find compare compute calculate count copy move filter sort
format parse build compile ignore skip override inherit extend depend apply belong refer point work need expect select
choose switch lock release mount encrypt validate reset restore recover convert map select split merge join raise
"""
_BASE = {
    **{f"{verb}s": verb for verb in _ACTS.split()},
    "specifies": "specify", "modifies": "modify", "copies": "copy", "applies": "apply", "searches": "search",
    "matches": "match", "passes": "pass", "processes": "process", "switches": "switch", "has": "have",
    "verifies": "verify", "identifies": "identify", "fetches": "fetch", "accesses": "access", "goes": "go",
}  # fmt: skip
_VERB = "|".join(sorted(_BASE, key=len, reverse=True))
_SUBJECT = r"(?P<s>(?:(?:The|A|An|Each|Every|All|Your) )?(?:`[^`]+`|[\w./-]+)(?: (?:`[^`]+`|[\w./-]+)){0,5}?)"
_BAD_SUBJECT = re.compile(
    r"(?i)^(?:this|that|these|those|it|they|he|she|we|you|i|there|here|such|note|see|what|which|who|when|if|for|in|on|as|"
    r"by|to|and|or|but|so|also|however|then|thus|therefore|otherwise|first|second|finally|next|another|some|most|many|"
    r"both|other|others|one|only|not|no|example|examples|chapter|section|table|figure|above|below|following|with|from|"
    r"after|before|while|since|because|although|unlike|like|at|one|additionally|instead|usually|where|how|even|let)\b"
    r"|\b(?:above|below|following|this|that|these|its|their|which|who|and|is|are|was|be|has|can|may|must|will|should|to|not|"
    r"where|how|if|when)\b|\b(?:the|an?|of|in|on)$|[-:;,]$"
)
_PARTICIPLE = r"\w+(?:ed|en|own|un|ut|et|ilt|ept|ead|ound|ent|old)\b"
_TIME = re.compile(r"\b(?:when|after|before|until|once|whenever|at boot|at startup|every)\b", re.IGNORECASE)
_PLACE = re.compile(
    r"\b(?:in|at|under|inside|within|into|on) (?:the )?(?:`[^`]*`|/[\w/.]+|[\w/.-]+ (?:file|directory|folder|menu|section|table|tab|dialog))"
)
_REASON = re.compile(r"^(?P<m>.{12,120}?),? (?:because|since|in order to|so that) .{8,}")
_HOLD = re.compile(r"\b(?:must|should|need to|has to|have to|required|always|never|only)\b")


def questions(sentence: str) -> Iterator[Asked]:
    """``sentence``: one line of prose with its full stop."""
    said = sentence.rstrip(" .!:").strip()
    if not re.match(r"[A-Z`\d-]", said):
        return
    for pattern in (_conditions, _possibilities, _reasons, _defaults, _denials, _identities, _acts, _passives, _duties):
        yield from pattern(said)


def subject_of(text: str) -> str:
    """A subject as it stands inside a question; "" where it is not one."""
    text = text.strip()
    if not text or _BAD_SUBJECT.search(text) or len(text) > 70 or text.count("`") % 2 or text.isdigit():
        return ""
    first, _, rest = text.partition(" ")
    if first in ("The", "A", "An", "Each", "Every", "All", "Your"):
        first = "my" if first == "Your" else first.lower()
        return f"{first} {rest}" if rest else ""
    plain = re.fullmatch(r"[A-Z][a-z]+", first) is not None and rest and re.fullmatch(r"[a-z].*", rest)
    return f"{first.lower()} {rest}" if plain else text


def mine(text: str) -> str:
    """ "you configure your server" -> "I configure my server"."""
    for other, own in (("you are", "I am"), ("you're", "I'm"), ("yourself", "myself"), ("your", "my"), ("you", "I")):
        text = re.sub(rf"\b{other}\b", own, text, flags=re.IGNORECASE)
    return text


def _plural(subject: str) -> bool:
    return re.search(r"[a-z]{3,}(?<![sui])s$", subject) is not None or subject.startswith("all ")


def _conditions(said: str) -> Iterator[Asked]:
    found = re.match(r"(?:If|When|Whenever|Once) (?P<c>[^,:]{10,100}),(?: then)? (?P<r>.{10,})", said)
    if found and not re.match(
        r"(?:you want|you need|you wish|you would|you'd like|not\b|necessary|so\b|possible)", found["c"]
    ):
        clause = mine(found["c"])
        if re.search(r"\b(?:it|this|that|they|these|those|such)\b", clause) or not re.search(r" ", clause):
            return
        if re.match(r"(?:[a-z]+ing)\b", clause):
            yield Asked("condition", f"What should I keep in mind when {clause}?", "", "")
            return
        told = re.match(
            r"(?:you (?:must|should|can|need|have|may)|please|use|set|run|try|add|check|make|specify|see|do)\b",
            found["r"],
        )
        yield Asked("condition", f"What should I do if {clause}?" if told else f"What happens if {clause}?")
    found = re.match(r"(?P<r>[A-Z`].{10,120}?) (?:if|when|unless) (?P<c>[^,]{10,90})$", said)
    if found and subject_of(re.split(r" (?:is|are|will|can|must|does|may)\b", found["r"])[0]):
        clause = mine(found["c"])
        if not re.search(r"\b(?:it|this|that|they|these|those|such|necessary|possible)\b", clause) and " " in clause:
            yield Asked("condition", f"What happens if {clause}?")


def _possibilities(said: str) -> Iterator[Asked]:
    found = re.match(
        r"(?:[^,]{3,60}, )?[Yy]ou (?:can|may|could) (?:also |then |easily )?(?P<v>[a-z][\w-]+ .{6,})", said
    )
    if not found:
        return
    what, _, means = re.sub(r"\b(?:simply|just)\b ", "", found["v"]).partition(" by ")
    if not means:
        split = re.split(r" (?:using|with the|via|through the|with) (?=`|the |an? |--?)", what, maxsplit=1)
        what, means = split[0], split[1] if len(split) > 1 else ""
    what = mine(re.split(r"[,;:(]| (?:so that|because|if|when) ", what)[0].strip())
    if (
        len(what) < 10
        or len(what) > 90
        or re.search(r"\b(?:this|that|these|those|it|them|following|above|below)\b", what)
    ):
        return
    if re.match(r"(?:see|find|read|refer|think|say|ask|imagine|expect|note)\b", what):
        return
    if means:
        yield Asked("how-to", f"How can I {what}?")
    yield Asked("can", f"Can I {what}?")


def _reasons(said: str) -> Iterator[Asked]:
    found = _REASON.match(said)
    if not found:
        return
    parts = re.match(rf"{_SUBJECT} (?P<be>is|are|was|were|can|cannot|should|must) (?P<p>.+)", found["m"])
    subject = subject_of(parts["s"]) if parts else ""
    if parts and subject and len(parts["p"]) < 70:
        be = "can't" if parts["be"] == "cannot" else parts["be"]
        yield Asked("why", f"Why {be} {subject} {mine(parts['p'])}?", subject, f"Why {be} it {mine(parts['p'])}?")


def _defaults(said: str) -> Iterator[Asked]:
    found = re.search(
        r"\b[Tt]he default(?: value| setting)?(?P<x> (?:for|of) [^,.]{2,50}?| [a-z`][^,.]{2,40}?)? (?:is|are)\b", said
    )
    if found and found["x"] and not _BAD_SUBJECT.search(found["x"].strip().removeprefix("for ").removeprefix("of ")):
        yield Asked("default", f"What is the default{found['x']}?", "", "And what is the default?")
    found = re.match(rf"{_SUBJECT} defaults to ", said)
    if found and subject_of(found["s"]):
        subject = subject_of(found["s"])
        yield Asked("default", f"What is the default of {subject}?", subject, "What is its default?")
    if re.search(r"\b[Bb]y default\b", said):
        rest = re.sub(r",? ?\b[Bb]y default,? ?", " ", said).strip()
        parts = re.match(rf"{_SUBJECT} (?P<v>{_VERB}|is|are) ", rest[:1].upper() + rest[1:])
        subject = subject_of(parts["s"]) if parts else ""
        if parts and subject:
            verb = parts["v"]
            asked = (
                f"What {verb} {subject} by default?"
                if verb in ("is", "are")
                else f"What does {subject} {_BASE[verb]} by default?"
            )
            yield Asked(
                "default",
                asked,
                subject,
                f"What does it {_BASE[verb]} by default?" if verb in _BASE else "And by default?",
            )


def _denials(said: str) -> Iterator[Asked]:
    found = re.match(
        rf"{_SUBJECT} (?P<a>cannot|can not|does not|do not|is not|are not|will not|should not|must not|need not) (?P<p>[^,;]{{5,90}})",
        said,
    )
    subject = subject_of(found["s"]) if found else ""
    if not found or not subject:
        return
    verb = found["a"].split(" ")[0].removesuffix("not")
    rest = mine(re.split(r" (?:because|since|unless|if|when|but) ", found["p"])[0])
    yield Asked("yes-no", f"{verb.capitalize()} {subject} {rest}?", subject, f"{verb.capitalize()} it {rest}?")


def _identities(said: str) -> Iterator[Asked]:
    found = re.match(
        rf"{_SUBJECT} (?P<be>is|are) (?P<p>(?:an? |the |used |one of |responsible |where |how |similar |intended |useful ).{{8,}})",
        said,
    )
    subject = subject_of(found["s"]) if found else ""
    if not found or not subject:
        return
    if found["p"].startswith("used "):
        purpose = re.match(r"used (?:to|for|by|as|in|when|with) (?P<x>[^,;]{6,90})", found["p"])
        yield Asked("purpose", f"What {found['be']} {subject} used for?", subject, "What is it used for?")
        if purpose and re.match(r"used to ", found["p"]):
            yield Asked("reverse", f"What is used to {mine(purpose['x'])}?", subject)
        return
    yield Asked(
        "define",
        f"What {found['be']} {subject}?",
        subject,
        f"What {found['be']} {'they' if found['be'] == 'are' else 'it'}?",
    )


def _acts(said: str) -> Iterator[Asked]:
    found = re.match(
        rf"{_SUBJECT}(?:,? which)? (?:(?P<adv>also|automatically|only|always|usually|simply|normally) )?(?P<v>{_VERB}) (?P<o>.{{4,}})",
        said,
    )
    subject = subject_of(found["s"]) if found else ""
    if not found or not subject:
        return
    verb, base = found["v"], _BASE[found["v"]]
    prep = re.match(r"(?:to|on|for|from|with|in|of)\b", found["o"])
    object_ = mine(
        re.split(r"[,;:(]| (?:if|when|because|so that|which|unless|whether|by default) ", found["o"])[0]
    ).strip()
    tail = f" {prep[0]}" if prep else ""
    short = 4 <= len(object_) <= 80 and not re.search(
        r"\b(?:it|its|this|that|these|those|their|them|following)\b", object_
    )
    yield Asked("act", f"What does {subject} {base}{tail}?", subject, f"And what does it {base}{tail}?")
    if (
        verb
        in (
            "supports",
            "allows",
            "requires",
            "accepts",
            "contains",
            "needs",
            "uses",
            "provides",
            "includes",
            "has",
            "returns",
        )
        and short
    ):
        yield Asked("yes-no", f"Does {subject} {base} {object_}?", subject, f"Does it {base} {object_}?")
    if short:
        noun = re.search(
            r"\b(option|command|function|parameter|directive|method|variable|setting|module|file|program|tool|class|attribute|field|flag|button|menu)s?$",
            subject,
        )
        what = f"Which {noun[1]}" if noun else "What"
        yield Asked("reverse", f"{what} {verb} {object_}?", subject)


def _passives(said: str) -> Iterator[Asked]:
    found = re.match(
        rf"{_SUBJECT} (?P<be>is|are|can be|must be|should be|may be|will be|has to be) (?P<adv>\w+ly )?(?P<p>{_PARTICIPLE})(?P<r> .{{4,}})",
        said,
    )
    subject = subject_of(found["s"]) if found else ""
    if not found or not subject or found["p"] == "used":
        return
    aux, _, be = found["be"].partition(" ")
    done = f"{be + ' ' if be else ''}{found['p']}".strip()
    it = "they" if found["be"] == "are" else "it"
    if _PLACE.search(found["r"]):
        yield Asked("where", f"Where {aux} {subject} {done}?", subject, f"Where {aux} {it} {done}?")
    if _TIME.search(found["r"]):
        yield Asked("when", f"When {aux} {subject} {done}?", subject, f"When {aux} {it} {done}?")
    if re.match(r" (?:by|with|using|via|through|as)\b", found["r"]):
        yield Asked("how", f"How {aux} {subject} {done}?", subject, f"How {aux} {it} {done}?")
    else:
        done, verb = done.removeprefix("be "), "are" if aux == "are" or _plural(subject) else "is"
        yield Asked("about", f"What should I know about how {subject} {verb} {done}?", subject)


def _duties(said: str) -> Iterator[Asked]:
    found = re.match(
        r"(?:[^,]{3,50}, )?[Yy]ou (?:must|should|need to|have to) (?:also )?(?P<v>[a-z]+ [^,;:.]{6,80})", said
    )
    if found and not re.search(r"\b(?:this|that|it|them|these|those|see|read|refer|note)\b", found["v"]):
        yield Asked("duty", f"Do I have to {mine(found['v'])}?")
    found = re.match(rf"{_SUBJECT} (?P<m>must|should|needs to|has to) (?P<p>[^,;]{{6,}})", said)
    subject = subject_of(found["s"]) if found else ""
    if found and subject and _HOLD.search(said):
        yield Asked(
            "duty",
            f"What {'must' if found['m'] == 'must' else 'should'} {subject} do?"
            if not found["p"].startswith("be ")
            else f"What is required of {subject}?",
            subject,
        )

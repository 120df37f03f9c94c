"""What English questions ask for, and other forms of asking it: the tables of paraphrase_en.py.

A masked question has a private character for each name. `ASKED` finds what is asked for, `FRAMES` ask for it again, with
the same slots; `CONTEXT` finds the situation that comes before, `PLACED` says it elsewhere.
"""

from __future__ import annotations

import re

FRAMES: dict[str, tuple[str, ...]] = {
    "how-to": (
        "How do I {g}?", "How can I {g}?", "How would I {g}?", "How should I {g}?", "How to {g}?", "How does one {g}?",
        "What is the way to {g}?", "What's the best way to {g}?", "What do I have to do to {g}?",
        "What are the steps to {g}?", "Which steps are needed to {g}?", "Is there a way to {g}?",
        "I want to {g}. How does that work?", "I need to {g}, how?", "I'd like to {g}. What do I do?",
        "I'm trying to {g} but don't know how.", "I can't figure out how to {g}.", "Can you show me how to {g}?",
        "Could you tell me how to {g}?", "Please explain how to {g}.", "Need help with {ing}.",
        "What's involved in {ing}?", "I'm having trouble {ing}.", "Instructions for {ing}?", "Steps for {ing}",
        "A customer wants to {g}. What should they do?", "A user asked how to {g}. What do I tell them?",
        "In order to {g}, what is needed?", "To {g}, what do I do?", "What does it take to {g}?",
        "Someone here has to {g}. Any instructions?", "Where do I start if I want to {g}?",
    ),
    "can": (
        "Can I {g}?", "Is it possible to {g}?", "Could I {g}?", "Am I able to {g}?", "Is there a way to {g}?",
        "Does anything allow me to {g}?", "I'd like to know if I can {g}.", "Is {ing} possible?",
        "A customer asks whether it is possible to {g}.", "Would it be possible to {g}?", "Is {ing} supported?",
    ),
    "define": (
        "What is {t}?", "What does {t} do?", "What is {t} for?", "What is {t} used for?", "What does {t} mean?",
        "Can you explain {t}?", "Explain {t} please.", "What's the purpose of {t}?", "Why would I need {t}?",
        "What is meant by {t}?", "Tell me what {t} is.", "I came across {t}, what is it?", "{t}: what is it for?",
        "When would somebody use {t}?", "I don't understand {t}.", "What exactly is {t}?", "Meaning of {t}?",
    ),
    "effect": (
        "What does {t} do?", "What is {t} for?", "What is the effect of {t}?", "What does {t} control?",
        "What happens when I use {t}?", "Can you explain {t}?", "What's the purpose of {t}?", "When should I use {t}?",
        "What is {t} good for?", "I saw {t} somewhere, what does it do?", "What changes if I set {t}?",
        "How does {t} work?", "Explain {t} please.",
    ),
    "default": (
        "What is the default of {t}?", "What's the default value for {t}?", "Which value does {t} have by default?",
        "If I don't set {t}, what is used?", "What is {t} when I leave it out?", "{t} default?",
        "What does {t} default to?", "What is {t} set to out of the box?", "Without any changes, what is {t}?",
        "What is used for {t} unless I change it?",
    ),
    "values": (
        "Which values can {t} take?", "What can I set {t} to?", "What are the possible values of {t}?",
        "What are valid settings for {t}?", "Which choices are there for {t}?", "What is allowed for {t}?",
        "What does {t} accept?", "{t} possible values?",
    ),
    "difference": (
        "What is the difference between {a} and {b}?", "How does {a} differ from {b}?", "{a} or {b}, what's the difference?",
        "How are {a} and {b} different?", "When do I use {a} and when {b}?", "{a} versus {b}?",
        "Should I use {a} or {b}?", "Compare {a} and {b} for me.", "Why are there both {a} and {b}?",
    ),
    "where": (
        "Where is {t}?", "Where can I find {t}?", "Where do I find {t}?", "In which place is {t}?",
        "I'm looking for {t}. Where?", "I can't find {t}.", "Location of {t}?",
    ),
    "happens": (
        "What happens if {s}?", "What happens when {s}?", "What if {s}?", "What will happen once {s}?",
        "Suppose {s}. What then?", "What is the effect when {s}?", "What should I expect if {s}?", "If {s}, what happens?",
    ),
    "trouble": (
        "{S}. What should I do?", "{S}. How do I fix this?", "{S}, any idea why?", "{S}. What is wrong?", "{S} - help!",
        "How can I fix it when {s}?", "What to do when {s}?", "What can be the reason if {s}?", "Problem: {s}.",
        "A customer says that {s}. What now?", "How do I get around it if {s}?",
    ),
    "which": (
        "Which {k} {v}?", "What {k} {v}?", "What's the {k} that {v}?", "Is there a {k} that {v}?",
        "I need the {k} that {v}.", "What is the name of the {k} that {v}?", "Which {k} is it that {v}?",
    ),
    "supports": (
        "Does {a} support {b}?", "Is {b} supported by {a}?", "Can {a} work with {b}?", "Does {a} work with {b}?",
        "Is there support for {b} in {a}?", "{a}: is {b} supported?",
    ),
    "about": (
        "What should I know about {t}?", "Tell me about {t}.", "Can you explain {t}?", "What is there to know about {t}?",
        "Give me some information on {t}.", "I'd like to read up on {t}.", "Details on {t}, please.",
        "What do the docs say about {t}?",
    ),
}  # fmt: skip
WHO = r"(?:i|you|we|one|they|people|somebody|someone|a user)"
ASKED: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("difference", r"(?:what(?: is|'s|s)|explain) the differences? between (?P<a>.+?) and (?P<b>[^,]+)"),
        ("difference", r"how do (?P<a>.+?) and (?P<b>[^,]+?) differ"),
        ("difference", r"how does (?P<a>.+?) differ from (?P<b>[^,]+)"),
        ("difference", r"i'm not sure whether i need (?P<a>.+?) or (?P<b>.+?)\. how do they differ"),
        ("default", r"(?:what(?: is|'s) )?the default(?: value| setting)?s? (?:of|for) (?P<t>.+)"),
        ("default", r"what value does (?P<t>.+?) have if i don't set it"),
        ("default", r"(?P<t>\S+) default(?: value)?"),
        ("values", r"which values (?:can|does) (?P<t>.+?) (?:take|accept|have)"),
        ("values", r"what are the (?:options|possible values|allowed values) (?:for|of) (?P<t>.+)"),
        ("values", r"(?P<t>\S+) (?:allowed|possible) values"),
        ("happens", r"what (?:happens|will happen|is the effect) (?:if|when|once) (?P<s>.+)"),
        ("trouble", r"(?P<s>[^.]{8,}?)\. (?:what is wrong and how do i fix it|what should i do|what do i do|how can i solve this)"),
        ("trouble", r"i get (?P<s>\S+)\. what does it mean and how do i fix it"),
        ("trouble", r"what (?:should i|can i|do i|to) do (?:if|when) (?P<s>.+)"),
        ("about", r"what should i know about (?P<t>.+)|tell me about (?P<t2>.+)|what does the documentation say about (?P<t3>.+)"),
        ("effect", r"what does (?P<t>.+?) do"),
        ("effect", r"what is (?P<t>.+?) (?:used )?for"),
        ("define", r"what does (?P<t>.+?) (?:mean|stand for)|what is meant by (?P<t2>.+)|(?:can you )?explain (?P<t3>(?!how|why|what).+)"),
        ("define", r"what(?: is|'s) (?P<t>(?:an? |the )?(?:[\w-]|[\ue000-\uf7ff])+(?: (?:[\w-]|[\ue000-\uf7ff])+){0,2})"),
        ("can", rf"(?:can|could|may) {WHO} (?:also )?(?P<g>(?!explain|tell|show|give|please|walk).+)"),
        ("can", r"(?:is it possible|am i able) to (?P<g>.+)"),
        ("how-to", rf"how (?:do|can|could|should|would|might|must) {WHO} (?P<g>.+)"),
        ("how-to", r"(?:(?:can|could) you )?(?:please )?(?:tell|show|explain)?(?: me)? ?how to (?P<g>.+)"),
        ("how-to", r"what(?: is|'s) the (?:best |right |correct )?way to (?P<g>.+)"),
        ("how-to", rf"{WHO} (?:want|need|have|would like|wish|am trying) to (?P<g>[^.]+)\. (?:how|what|which) .+"),
        ("where", r"where (?:is|are|can i find|do i find) (?P<t>(?!.*(?:ed|en)\b).+?)(?: located| stored| kept)?"),
        ("which", r"which (?P<k>option|parameter|setting|command|argument|variable|environment variable|function|file|field|directive|metric|method|tool|program|flag)s? (?P<v>(?!are\b|can\b|do\b|does\b|is\b|should\b|must\b|has\b|have\b)[a-z]+s .+)"),
        ("supports", r"does (?P<a>.+?) support (?P<b>.+)"),
    )
)  # fmt: skip
CONTEXT = re.compile(
    r"(?:(?:in|with|for) (?P<c>[^,]{2,50}), |i'm (?:using|working with|setting up) (?P<c2>[^.:,]{2,50})(?:[.:]| and need to) |"
    r"(?!(?:can|could|what|how|which|why|where|when|who|is|are|do|does|explain|tell|give|i)\b)(?P<c3>[^:.,?()]{2,50}): )(?P<q>.+)",
    re.IGNORECASE,
)
PLACED = ("In {c}, {q}", "{c}: {Q}", "I'm using {c}. {Q}", "With {c}, {q}", "{Q} ({c})", "[{c}] {Q}")

"""A scripted teacher on a real loopback port: an OpenAI-compatible server that writes plausible samples by rule.

Questions are made of the passages' sentences, answers are the sentence that fits the question best. ``fault(kind,
subject)`` names what goes wrong with a call: kind as in data.chat.calls, subject the question (or the task).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from data.prompts import refusal_text
from sft.duplicates import words
from sft.teacher.prompts import JUDGE, WRITER

Fault = Callable[[str, str], str]
Writes = Callable[[list[dict[str, str]]], tuple[str, str, str]]
FIRST_TIME_ONLY = ("429", "500", "slow", "drop")
"""Faults that are over at the second try of the same request; with a "!" they stay."""

HEADS = (
    "Tell me please if you happen to be awake:",
    "Hi! I would like to learn this today,",
    "Short question for you experts out there.",
    "My boss wants me to find out:",
    "Since nobody else could help so far,",
    "Good morning team, we wonder:",
    "Urgent matter! Customer waits on line two.",
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


@dataclass
class FakeTeacher:
    """``latency_s`` before each answer. ``served``: request -> how often it was answered (and would be billed)."""

    fault: Fault = lambda kind, subject: ""
    latency_s: float = 0.0
    models: tuple[str, ...] = ("wise",)
    key: str = ""
    full: int = 0  # after the first answer, none is given before so many calls have been on their way at once
    plain: bool = False  # knows no chat_template_kwargs, and says so
    writes: Writes = lambda messages: write(messages)  # (kind, subject, good text) for a request
    served: Counter[str] = field(default_factory=Counter)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    at: list[tuple[float, int]] = field(default_factory=list)  # (when, in flight) at each request and each answer
    in_flight: int = 0
    peak: int = 0
    url: str = ""

    def __enter__(self) -> FakeTeacher:
        self._loop = asyncio.new_event_loop()
        self._tried: Counter[str] = Counter()
        self._was_full = asyncio.Event()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    @property
    def total(self) -> int:
        return self.served.total()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "invalid key"}}, status=401)
        return None

    async def _models(self, request: web.Request) -> web.Response:
        listed = {"object": "list", "data": [{"id": name} for name in self.models]}
        return self._refused(request) or web.json_response(listed)

    async def _chat(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if self.in_flight >= self.full:
            self._was_full.set()
        self.at.append((time.monotonic(), self.in_flight))
        try:
            return self._refused(request) or await self._answer(request)
        finally:
            self.in_flight -= 1
            self.at.append((time.monotonic(), self.in_flight))

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = json.loads(raw)
        if self.plain and "chat_template_kwargs" in body:
            return web.json_response({"error": {"message": "unknown field chat_template_kwargs"}}, status=400)
        item = hashlib.sha256(raw).hexdigest()[:16]
        kind, subject, text = self.writes(body["messages"])
        fault = self.fault(kind, subject)
        self.faults[kind, subject] = fault
        self.bodies.append(body)
        if self.full and self.served:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._was_full.wait(), 30)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        self._tried[item] += 1
        if fault.endswith("!") or (fault in FIRST_TIME_ONLY and self._tried[item] == 1):
            return await self._failing(fault.rstrip("!"), request)
        self.served[item] += 1
        thinking = bool(body.get("chat_template_kwargs", {}).get("enable_thinking"))
        return web.json_response(completion(*faulty(fault, text, kind), thinking))

    async def _failing(self, fault: str, request: web.Request) -> web.Response:
        if fault == "429":
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0.05"})
        if fault == "400":
            return web.json_response({"error": {"message": "prompt too long"}}, status=400)
        if fault == "500":
            return web.Response(status=500, text="<h1>oops</h1>")
        if fault == "drop" and request.transport:
            request.transport.abort()
        await asyncio.sleep(3600)  # until the test ends: whoever asked gives up before
        return web.json_response(completion("too late", "stop", False))


def completion(text: str, finish: str, thinking: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    if thinking:
        message["reasoning"] = f"I recall how this works: {text[:40]}"
    usage = {"prompt_tokens": 100, "completion_tokens": len(text) // 4, "total_tokens": 100 + len(text) // 4}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def faulty(fault: str, text: str, kind: str) -> tuple[str, str]:
    """(text, finish_reason) of an answer with this fault."""
    said = {
        "empty": "  ",
        "garbage": "Bananas are yellow fruits that grow on tall tropical plants far away from any widget.",
        "cut-off": text[: len(text) // 2],
        "refusal": refusal_text("en"),
        "sorry": "I'm sorry, but I cannot help with that.",
        "think": f"<think>Let me see.</think>{text}",
        "prompt": f"You answer questions about a product from its documentation. {text}",
        "passages": f"According to the provided passages: {text}",
        "loop": f"{text} " * 40,
        "no": text.replace('"yes"', '"no"', 1),
        "maybe": text.replace('"yes"', '"maybe"', 1),
        "chatty": f"Sure! Here is the JSON: {text}",
        "wrong-citation": re.sub(r"\[\d\]", "[9]", text),
    }
    return said.get(fault, text), "length" if fault == "cut-off" else "stop"


def write(messages: list[dict[str, str]]) -> tuple[str, str, str]:
    """(kind, subject, good text) for a request."""
    system, user = messages[0]["content"], messages[-1]["content"]
    if system in JUDGE.values():
        asked = re.findall(r'(?m)^- "(\w+)"', user)
        question = re.findall(r"(?m)^user: (.*)$", user)[0]
        return "judge", question, json.dumps(dict.fromkeys(asked, "yes"))
    if system in WRITER.values():
        return _written(user)
    if "Passages:" in system or "段落：" in system:
        return "answer", user, _answered(user, system)
    return "answer", user, f"Gladly, here is a complete reply about it. {user}"


def _written(user: str) -> tuple[str, str, str]:
    shown, _, task = user.partition("\n\n---\n\n")
    rewrite = re.match(r"(?:Ask this question in|把这个问题换成) (\d+)", user)
    if rewrite:
        known = re.findall(r"(?m)^- (.*)$", user)
        ways = [f"{HEADS[(len(known) - 1 + at) % len(HEADS)]} {known[0]}" for at in range(int(rewrite[1]))]
        return "rewrites", known[0], json.dumps(ways)
    chinese = re.search(r"[\u4e00-\u9fff]", task) is not None
    facts = [line for line in _SENTENCE.split(shown) if len(line) > 12 and not re.match(r"\[\d+\]", line)]
    if "asks next" in task or "接下来的提问" in task:
        fact = facts[len(re.findall(r"(?m)^user: ", task)) % len(facts)]
        return "follow-up", task, json.dumps({"question": f"And what about it: {_words(fact)}?"})
    if "whole text" in task or "整篇文本" in task:
        return "questions", shown, json.dumps({"question": f"Please tell me everything about {_words(facts[0])}?"})
    count = int(re.search(r"(?:Write|写出) (\d+)", task)[1])  # type: ignore[index]
    return "questions", shown, json.dumps([_question(facts, shown, n, chinese) for n in range(1, count + 1)])


def _question(facts: list[str], shown: str, line: int, chinese: bool) -> dict[str, Any]:
    fact = facts[(line - 1) % len(facts)]
    passages = re.split(r"(?m)^\[(?=\d+\] )", shown)[1:]
    number = next(n for n, passage in enumerate(passages, start=1) if fact in passage)
    asked = f"请问{_words(fact)}是怎么回事？" if chinese else f"What is known about {_words(fact)}?"
    return {"line": line, "passage": number, "question": asked}


def _words(fact: str) -> str:
    return fact.strip(" .。")[:60]


def _answered(question: str, system: str) -> str:
    """The sentence of the passages that shares most words with the question, cited; else the refusal."""
    wanted = set(words(question))
    best, score = "", 0.0
    for number, passage in re.findall(r"(?ms)^\[(\d+)\] [^\n]*\n(.*?)(?=^\[\d+\] |\Z)", system):
        for line in _SENTENCE.split(passage):
            said = set(words(line))
            shared = len(said & wanted) / max(1, len(said))
            if shared > score:
                best, score = f"{line.strip()} [{number}]", shared
    chinese = re.search(r"[\u4e00-\u9fff]", question) is not None
    return best if score > 0.35 else refusal_text("zh" if chinese else "en")

"""Fixed questions inside and outside the docs, asked of two models at their OpenAI-compatible servers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from data.errors import ConfigError, EngineError
from data.lang import detect_lang
from data.prompts import REFUSAL, prompt_lang, sft_messages
from sft.tokens import estimate

WORKERS = 8


@dataclass(frozen=True)
class Question:
    """``inside``: whether the docs answer it."""

    text: str
    lang: str
    inside: bool


@dataclass(frozen=True)
class Answer:
    """``tokens``: of the answer, by the server's own count, an estimate where ``exact`` is False. ``cut``: it ran
    into the limit. ``error``: "" where all went well."""

    text: str
    tokens: int = 0
    exact: bool = True
    cut: bool = False
    error: str = ""

    @property
    def refused(self) -> bool:
        return any(sentence in self.text for sentence in REFUSAL.values())


@dataclass(frozen=True)
class Server:
    """``base_url`` ends in /v1. ``model``: "" takes the first that the server lists."""

    base_url: str
    model: str = ""
    api_key: str = ""
    thinking: bool = False


def read_questions(path: Path) -> list[Question]:
    """JSON lines with "question", and "inside" or "answerable" (default: inside), "lang" if known. ConfigError."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give a file of questions") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text = row["question"].strip()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(f'{path}, line {number}: each line must be JSON with a "question"') from None
        inside = bool(row.get("inside", row.get("answerable", True)))
        found.append(Question(text, prompt_lang(str(row.get("lang") or detect_lang(text))), inside))
    if not found:
        raise ConfigError(f"{path} holds no questions")
    return found


def ask_all(
    server: Server,
    questions: Sequence[Question],
    max_tokens: int,
    timeout_s: float = 300.0,
    done: Callable[[], Any] = lambda: None,
) -> tuple[str, list[Answer]]:
    """The model's name and its answers, in the order of the questions. Raises EngineError when it answers none."""
    headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
    base = server.base_url.rstrip("/") + "/"
    with httpx.Client(base_url=base, headers=headers, timeout=timeout_s, trust_env=False) as client:
        model = server.model or _first_model(client, server.base_url)

        def one(question: Question) -> Answer:
            answer = _ask(client, model, question, max_tokens, server.thinking)
            done()
            return answer

        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(one, questions))
    if all(answer.error for answer in answers):
        raise EngineError(f"{server.base_url} answered none of the questions: {answers[0].error}")
    return model, answers


def api_key(variable: str) -> str:
    """The key that an environment variable holds. Raises ConfigError when it is named and empty."""
    if variable and not os.environ.get(variable):
        raise ConfigError(f"the environment variable {variable} is not set: it should hold the server's API key")
    return os.environ.get(variable, "") if variable else ""


def _first_model(client: httpx.Client, url: str) -> str:
    try:
        models = client.get("models").raise_for_status().json()["data"]
        return str(models[0]["id"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
        raise EngineError(f"{url} cannot be asked for its models ({error}): is the server running?") from None


def _ask(client: httpx.Client, model: str, question: Question, max_tokens: int, thinking: bool) -> Answer:
    body = {
        "model": model,
        "messages": sft_messages(question.text, lang=question.lang),
        "temperature": 0,
        "max_tokens": max_tokens,
        "chat_template_kwargs": {"enable_thinking": thinking},
    }
    try:
        response = client.post("chat/completions", json=body)
        if response.status_code == 400:  # a server that takes OpenAI's own fields only
            response = client.post("chat/completions", json=body | {"chat_template_kwargs": None})
        choice = (said := response.raise_for_status().json())["choices"][0]
        text = choice["message"].get("content") or choice["message"].get("reasoning") or ""
    except httpx.HTTPStatusError as error:
        return Answer("", error=f"HTTP {error.response.status_code}: {error.response.text[:200]}")
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Answer("", error=f"{type(error).__name__}: {error}")
    counted = (said.get("usage") or {}).get("completion_tokens")
    tokens = int(counted) if counted is not None else estimate(text)
    return Answer(text.strip(), tokens, counted is not None, choice.get("finish_reason") == "length")

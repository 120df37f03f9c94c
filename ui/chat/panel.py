"""The chat panel: what is asked, and what the voices say.

The conversation is one HTML component. The server renders its turns (render.py); the browser keeps them (ui/turns.py)
and chat.js puts them on the page.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from data.errors import GatewayError
from data.types import ANY, Filters
from ui.chat import filters, keys, render, voices
from ui.chat.pacing import REFRESH_S, REST_S, Pace, paced
from ui.client import Gateway, Labels, RequestError
from ui.config import UiConfig
from ui.conversations import client as conversations
from ui.conversations import sidebar, stored
from ui.conversations.render import missing_html
from ui.conversations.sidebar import Sidebar
from ui.events import Event, Failure, Started
from ui.feedback.component import Opinions
from ui.i18n import Words
from ui.panel import QUIET, authorization, cancel_then
from ui.sides.voting import Voting
from ui.turns import Reply, Turn, after, before, messages, on_page, stopped, with_local_links

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
SCRIPTS = ("chat.js", "actions.js", "keys.js")  # one component's script, in three files
SPOKEN = ("copied", "theme", "replaces", "edit", "edit_replaces", "cancel", "send")  # words that the scripts need
LOOK_S = 60.0  # an open page looks this often whether the gateway, its labels or the docs' age have changed
LONG = 20_000  # characters of an answer that takes so long to render that others should not wait for it


class Chat:
    """What is asked and answered. ``gateway`` answers; everything a reader sees is made in render.py."""

    key = "chat"
    role = ""

    def __init__(self, gateway: Gateway, config: UiConfig, handbook: bool = False) -> None:
        self.gateway = gateway
        self.config = config
        self.handbook = handbook
        self.opinions = Opinions(gateway)
        self.sidebar = Sidebar(gateway)
        self.voting = Voting(gateway)
        self.pace = Pace()

    def build_header(self) -> None:
        """Nothing of its own."""

    def build(self) -> None:
        self.banner = gr.HTML(elem_id="dd-banner", apply_default_css=False)
        with gr.Row(elem_id="dd-beside"):
            self.sidebar.build()
            with gr.Column(elem_id="dd-talk"):
                self.chat = gr.HTML(
                    html_template='<div class="dd-chat" role="log"></div>',
                    js_on_load="\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
                    apply_default_css=False,
                    elem_id="dd-chat",
                )
                self.opinions.build(self.chat)
                self.voting.build(self.chat)
                self._composer()
        self._events()

    @property
    def outputs(self) -> list[Any]:
        own = [self.chat, self.box, self.voice, self.hint, self.banner, self.status, self.filters]
        return [*own, *self.sidebar.outputs]

    @property
    def kept(self) -> list[Any]:
        return [self.chat, self.voice, self.filters, self.sidebar.list]

    def _composer(self) -> None:
        words = Words()
        with gr.Column(elem_id="dd-composer"):
            self.box = gr.Textbox(
                placeholder=words("placeholder"),
                label=words("question_label"),
                show_label=False,
                container=False,
                lines=1,
                max_lines=8,
                submit_btn=True,
                autofocus=True,
                elem_id="dd-box",
            )
            with gr.Row(elem_id="dd-under"):
                self.voice = gr.HTML(
                    html_template='<div class="dd-voices"></div>',
                    js_on_load=(HERE / "voices.js").read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_id="dd-voice",
                )
                self.filters = gr.HTML(
                    html_template='<div class="dd-filters" role="group"></div>',
                    js_on_load=(HERE / "filters.js").read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_id="dd-filters",
                )
                self.status = gr.HTML(elem_id="dd-status", apply_default_css=False)
                self.hint = gr.HTML(keys.hint_html(words), elem_id="dd-hint", apply_default_css=False)

    def _events(self) -> None:
        self.asking = gr.on(
            [self.box.submit, self.chat.submit],
            self.ask,
            [self.box, self.chat, self.voice, self.filters],
            [self.chat, self.box],
            concurrency_limit=None,
            **QUIET,
        )
        self.asking.then(self.settled, [self.filters], [self.banner, self.status], queue=False, **QUIET)
        cancel_then([self.box.stop], [self.asking], self.stop, [self.chat], [self.chat, self.box])
        cancel_then([self.sidebar.new.click], [self.asking], self.clear, [self.chat], [self.chat, self.box])
        cancel_then([self.sidebar.list.select], [self.asking], self.open, [self.sidebar.list], [self.chat, self.box])
        self.sidebar.list.tick(self.open, [self.sidebar.list], [self.chat, self.box], queue=False, **QUIET)
        looked = [self.banner, self.status, self.filters, self.voice]
        gr.Timer(LOOK_S).tick(self.look, [self.filters, self.voice], looked, queue=False, **QUIET)

    @property
    def running(self) -> list[Any]:
        return [self.asking]

    async def page(
        self,
        words: Words,
        gateway: Gateway,
        value: Any = None,
        voice: Any = None,
        picked: Any = None,
        listed: Any = None,
    ) -> dict[Any, Any]:
        turns = [stopped(turn) for turn in on_page(value)]
        page = await self._page(words, turns, gateway, voices.chosen(voice), filters.chosen(picked))
        page[self.chat] |= {"conversation": _conversation_id(value)}
        return page | await self.sidebar.page(words, gateway, listed)

    async def look(self, chosen: Any, voice: Any = None, request: gr.Request | None = None) -> dict[Any, Any]:
        """What may have changed while the page was open."""
        return await self._state(Words.of(chosen), filters.chosen(chosen), voices.chosen(voice), self._for(request))

    async def settled(self, chosen: Any, request: gr.Request | None = None) -> tuple[str, str]:
        """(banner, status) after an answer, which may have brought to light that something is wrong."""
        return await self._readiness(Words.of(chosen), self._for(request))

    async def ask(
        self,
        question: str,
        value: Any,
        voice: Any,
        chosen: Any,
        event: gr.EventData,
        request: gr.Request | None = None,
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Answer what is in the box, or what a click asks (actions.js), redrawing while it streams.

        A click may name a voice of its own, and the turn that is asked anew: that one and those after it are replaced.
        """
        words, clicked = Words.of(value), event._data if isinstance(event._data, dict) else {}
        question = str(clicked.get("question") or question).strip()
        if not question:
            yield gr.skip(), gr.skip()
            return
        known = on_page(value)
        turns = [stopped(turn) for turn in before(known, str(clicked.get("from", "")))]
        asked = voices.chosen(clicked.get("voice")) or voices.chosen(voice) or "rag"
        replies = (Reply(),) * (2 if asked in voices.TWO else 1)
        turn = Turn(secrets.token_hex(4), question, asked, filters=filters.chosen(chosen), replies=replies)
        items = [await _rendered(earlier, words) for earlier in turns]
        box: Any = gr.update(submit_btn=False, stop_btn=True) | ({} if clicked else {"value": ""})
        gateway = self._for(request)
        kept = (_conversation_id(value) or "new") if await self.sidebar.keeps(gateway) else ""
        turn = replace(turn, conversation="" if kept == "new" else kept)
        instead = known[len(turns)].answer_id if len(turns) < len(known) and turn.conversation else ""
        keeping = {"conversation": kept, "replace": instead}
        with self.pace.stream():
            async for now in paced(self._turn(turn, turns, gateway, keeping), self.pace.rest):
                yield self._conversation(words, [*items, await _rendered(now, words)]), box
                box = gr.skip()
                await asyncio.sleep(min(REST_S, REFRESH_S * _length(now) / LONG) if now.running else 0)
        yield gr.skip(), gr.update(submit_btn=True, stop_btn=False)  # and nothing more: until then the next one waits

    async def open(self, listed: Any, request: gr.Request | None = None) -> tuple[Any, ...]:
        """The conversation that was chosen in the list or named by the page's address; an empty one for none."""
        words, id = sidebar.words_of(listed), sidebar.wanted(listed)
        return await self._opened(words, id, self._for(request)), gr.update(submit_btn=True, stop_btn=False)

    async def _opened(self, words: Words, id: str, gateway: Gateway) -> dict[str, Any]:
        """The value of the conversation component. ``opened``: what was asked for, also where it is not there.

        ``pending``: an answer may still be under way somewhere, so that looking again will show more.
        """
        if not id:
            return self._conversation(words, []) | {"opened": ""}
        try:
            body = await conversations.read(gateway, id)
        except GatewayError as error:
            gone = isinstance(error, RequestError) and error.status == 404
            said = words("conversations.missing_more") if gone else str(error)
            missing = missing_html(words("conversations.missing" if gone else "conversations.unreadable"), said)
            return self._conversation(words, []) | {"opened": id, "welcome": missing}
        turns = stored.turns_of(body, self.gateway.url, time.time())
        pending = any(turn.running for turn in turns)
        shown = self._conversation(words, [render.item(turn, words) for turn in turns])
        return shown | {"conversation": id, "opened": id, "pending": pending}

    def stop(self, value: Any) -> tuple[Any, ...]:
        """What has been said so far stays."""
        words = Words.of(value)
        items = [render.item(stopped(turn), words) for turn in on_page(value)]
        return self._conversation(words, items), gr.update(submit_btn=True, stop_btn=False)

    def clear(self, value: Any) -> tuple[Any, ...]:
        """An empty conversation."""
        return self._conversation(Words.of(value), []), gr.update(value="", submit_btn=True, stop_btn=False)

    def _for(self, request: gr.Request | None) -> Gateway:
        """The gateway, asked as whoever uses the page."""
        return self.gateway.as_user(authorization(request))

    async def _turn(
        self, turn: Turn, earlier: list[Turn], gateway: Gateway, keeping: dict[str, str]
    ) -> AsyncIterator[Turn]:
        """The turn after each event. ``keeping``: its conversation, and whose place it takes."""
        yield turn
        async for event in self._answer(turn, earlier, gateway, keeping):
            turn = after(turn, with_local_links(event, self.gateway.url))
            yield turn

    async def _answer(
        self, turn: Turn, earlier: list[Turn], gateway: Gateway, keeping: dict[str, str]
    ) -> AsyncIterator[Event]:
        """The gateway's events; whatever goes wrong is a Failure a reader understands."""
        asked = messages(earlier, turn.question)
        try:
            model, blind = voices.asked(turn.voice)
            async for event in gateway.ask_async(asked, model, turn.filters, blind, **keeping):
                yield event
        except RequestError as error:
            if error.conversation:
                yield Started(conversation=error.conversation)
            yield Failure(str(error), error.code)
        except GatewayError as error:
            yield Failure(str(error), "unreachable")
        except Exception:
            log.exception("an answer failed")
            yield Failure("Something unexpected happened; the log of `docduet serve` says more.")

    async def _page(
        self,
        words: Words,
        turns: list[Turn],
        gateway: Gateway,
        voice: str = "",
        chosen: Filters = ANY,
    ) -> dict[Any, Any]:
        return {
            **await self._state(words, chosen, voice, gateway),
            self.chat: self._conversation(words, [render.item(turn, words) for turn in turns]),
            self.box: gr.update(
                placeholder=words("placeholder"), label=words("question_label"), submit_btn=True, stop_btn=False
            ),
            self.hint: keys.hint_html(words),
        }

    async def _voices(self, gateway: Gateway) -> list[str]:
        try:
            return voices.offered(await gateway.models_async())
        except GatewayError:
            return []

    async def _state(self, words: Words, chosen: Filters, voice: str, gateway: Gateway) -> dict[Any, Any]:
        """What is known of the gateway, for every part of the page that shows some of it."""
        try:
            labels = await gateway.labels_async()
        except GatewayError:
            labels = Labels()
        banner, status = await self._readiness(words, gateway)
        return {
            self.banner: banner,
            self.status: status,
            self.filters: filters.component(labels, words, chosen),
            self.voice: voices.component(await self._voices(gateway), words, voice),
        }

    async def _readiness(self, words: Words, gateway: Gateway) -> tuple[str, str]:
        """(banner, status) as HTML."""
        try:
            state = await gateway.readiness_async()
        except GatewayError as error:
            return render.banner_html(str(error), words), ""
        return render.banner_html(state, words), render.status_html(state, words, time.time())

    def _conversation(self, words: Words, items: list[dict[str, Any]]) -> dict[str, Any]:
        """The value of the conversation component; the last turn knows where it is kept."""
        examples = self.config.examples or (words.examples() if self.handbook else ())
        welcome = "" if items else render.welcome_html(words, examples)
        return {
            "lang": words.lang,
            "words": {name: words(name) for name in SPOKEN},
            "welcome": welcome,
            "turns": items,
            "conversation": items[-1]["turn"]["conversation"] if items else "",
        }


def _conversation_id(value: Any) -> str:
    """The id of the conversation that the browser sent, "" for one that is not kept yet."""
    id = value.get("conversation") if isinstance(value, dict) else ""
    return id if isinstance(id, str) and sidebar.IDS.fullmatch(id) else ""


async def _rendered(turn: Turn, words: Words) -> dict[str, Any]:
    """The turn as the browser keeps it; a long one is made beside the event loop."""
    return await asyncio.to_thread(render.item, turn, words) if _length(turn) > LONG else render.item(turn, words)


def _length(turn: Turn) -> int:
    return sum(len(reply.answer) + len(reply.thinking) for reply in turn.replies)

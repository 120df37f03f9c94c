"""Outputs that are left alone: nothing is sent of them, and no component is made for them."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from ui.page import ALONE, Page


def page() -> tuple[Page, Any]:
    with Page() as blocks:
        outputs = [gr.HTML(), gr.Textbox(), gr.HTML()]
        gr.Button().click(lambda: None, None, outputs)
    return blocks, next(iter(blocks.fns.values()))


async def test_only_what_is_given_is_sent_in_its_place() -> None:
    assert gr.skip() == ALONE
    blocks, fn = page()
    assert await blocks.postprocess_data(fn, ["a", gr.skip(), "c"], None) == ["a", ALONE, "c"]
    assert await blocks.postprocess_data(fn, [gr.skip(), "b", gr.skip()], None) == [ALONE, "b", ALONE]
    assert await blocks.postprocess_data(fn, [gr.skip(), gr.skip(), gr.skip()], None) == [ALONE, ALONE, ALONE]
    assert await blocks.postprocess_data(fn, ["a", "b", "c"], None) == ["a", "b", "c"]
    first, second, third = await blocks.postprocess_data(fn, ["a", gr.update(submit_btn=True), gr.skip()], None)
    assert (first, second["submit_btn"], second["__type__"], third) == ("a", True, "update", ALONE)


async def test_no_component_is_made_for_what_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[gr.Textbox] = []
    begin = gr.Textbox.__init__

    def counted(self: gr.Textbox, *args: Any, **more: Any) -> None:
        made.append(self)
        begin(self, *args, **more)

    monkeypatch.setattr(gr.Textbox, "__init__", counted)
    blocks, fn = page()
    assert len(made) == 1
    await blocks.postprocess_data(fn, ["a", gr.skip(), "c"], None)
    assert len(made) == 1

"""The gateway over HTTP: real index, real app, scripted engines; the openai SDK where its view matters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from data.home import Home
from data.prompts import REFUSAL, TRANSLATE
from data.types import Page
from rag.build import build_index
from rag.config import RagConfig
from rag.live import LiveIndex
from serving.app import create_app
from serving.config import EngineConfig, ServingConfig
from serving.server import in_background
from tests.fakes import ScriptedEngine, ScriptedSupervisor

PAGES = [
    Page("port.md", "Ports", "# Ports\n\nThe gateway listens on port 7860 by default.\n\nChange it with `--port`.\n"),
    Page("formats.md", "Formats", "# Formats\n\nDocDuet reads Markdown, HTML, PDF and DOCX files.\n"),
    Page("zh/port.md", "端口", "# 端口\n\n网关默认监听 7860 端口。\n\n用 `--port` 修改端口。\n", lang="zh"),
    Page("https://docs.example/engines", "Engines", "# Engines\n\nAn engine is restarted with backoff when it dies.\n"),
]
PORT_QUESTION = "Which port does the gateway listen on by default?"

JSON = {"Content-Type": "application/json"}

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("gateway"))
    build_index(PAGES, home, RagConfig())
    return home


@pytest.fixture
def serve(home: Home) -> Iterator[Serve]:
    """Start a gateway with these engines; gives its URL. Stopped at the end of the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*engines: ScriptedEngine, home: Home = home, **config: Any) -> str:
            configs = tuple(EngineConfig(name=engine.name, base_url="http://scripted") for engine in engines)
            serving = ServingConfig(engines=configs, **config)
            supervisor: Any = ScriptedSupervisor(*engines)
            return stack.enter_context(in_background(create_app(serving, supervisor, LiveIndex(home, RagConfig()))))

        yield start


def ask(url: str, question: str, history: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
    messages = [*(history or []), {"role": "user", "content": question}]
    response = httpx.post(f"{url}/v1/chat/completions", json={"model": "rag", "messages": messages, **more}, timeout=30)
    body: dict[str, Any] = response.json()
    return body


def stream(url: str, question: str, **more: Any) -> list[dict[str, Any]]:
    body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": question}], **more}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=30) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_cited_answer_in_openais_shape(serve: Serve) -> None:
    url = serve(ScriptedEngine("🙂 It is port 7860 [1]. Nothing more [9]."))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    answer = client.chat.completions.create(model="rag", messages=[{"role": "user", "content": PORT_QUESTION}])
    message = answer.choices[0].message
    assert message.content == "🙂 It is port 7860 [1]. Nothing more."
    assert message.annotations
    citation = message.annotations[0].url_citation
    assert message.content[citation.start_index : citation.end_index] == "[1]"
    assert citation.url.startswith(f"{url}/pages/")
    extra = answer.choices[0].model_extra["docduet"]  # type: ignore[index]
    assert [source["n"] for source in extra["sources"]] == [1]
    assert (extra["arm"], extra["refused"], extra["degraded"]) == ("rag", False, None)
    assert answer.usage
    assert answer.usage.total_tokens > 10


def test_a_streamed_answer_in_openais_shape(serve: Serve) -> None:
    url = serve(ScriptedEngine("Two sources [2] and [1] and [2]."))
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    chunks = list(
        client.chat.completions.create(
            model="rag",
            messages=[{"role": "user", "content": PORT_QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Two sources [1] and [2] and [1]."
    notes = [
        note
        for chunk in chunks
        if chunk.choices
        for note in (chunk.choices[0].delta.model_extra or {}).get("annotations", [])
    ]
    assert [text[n["url_citation"]["start_index"] : n["url_citation"]["end_index"]] for n in notes] == [
        "[1]",
        "[2]",
        "[1]",
    ]
    assert chunks[-1].usage
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[0].model_extra or {})["docduet"]["answer_id"].startswith("ans_")


def test_the_order_of_chunks(serve: Serve) -> None:
    chunks = stream(serve(ScriptedEngine("First [2], then [1], again [2].")), PORT_QUESTION)
    assert chunks[0]["docduet"]["route"]["query"] == PORT_QUESTION
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)
    chips = [chunk["event"]["data"]["source"]["name"] for chunk in chunks if "event" in chunk]
    assert [name[:3] for name in chips] == ["[1]", "[2]"]
    assert len(set(chips)) == len(chips)
    last = chunks[-1]["choices"][0]
    assert last["finish_reason"] == "stop"
    assert [source["n"] for source in last["docduet"]["sources"]] == [1, 2]
    assert {"retrieve", "first_token", "total"} <= set(last["docduet"]["timings_ms"])


def test_quotes_carry_marks_and_lead_to_the_highlighted_page(serve: Serve) -> None:
    url = serve(ScriptedEngine("Port 7860 [1]."))
    source = ask(url, PORT_QUESTION)["choices"][0]["docduet"]["sources"][0]
    assert "port" in {source["quote"][start:end].lower() for start, end in source["marks"]}
    page = httpx.get(source["href"])
    assert page.status_code == 200
    assert '<mark id="quote">' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_pages_on_the_web_are_linked_where_they_live(serve: Serve) -> None:
    url = serve(ScriptedEngine("It restarts [1]."))
    source = ask(url, "When is an engine restarted with backoff?")["choices"][0]["docduet"]["sources"][0]
    assert source["href"] == "https://docs.example/engines"


def test_refusal_without_asking_the_engine(serve: Serve) -> None:
    engine = ScriptedEngine("Paris [1].")
    answer = ask(serve(engine), "What is the capital of France?")
    choice = answer["choices"][0]
    assert choice["message"]["content"] == REFUSAL["en"]
    assert choice["docduet"]["refused"]
    assert choice["docduet"]["sources"] == []
    assert [messages[0]["content"] for messages in engine.asked] == [TRANSLATE["zh"]]  # one page is in Chinese


@pytest.mark.parametrize("said", [REFUSAL["en"], REFUSAL["en"].lower() + " [1] But perhaps [2]."])
def test_the_models_own_refusal_carries_no_sources(serve: Serve, said: str) -> None:
    chunks = stream(serve(ScriptedEngine(said, cut=3)), PORT_QUESTION)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == REFUSAL["en"]
    assert not [chunk for chunk in chunks if "event" in chunk]
    assert chunks[-1]["choices"][0]["docduet"]["refused"]


def test_an_answer_that_only_begins_like_a_refusal_gets_through(serve: Serve) -> None:
    said = "I could not find a better port than 7860 [1]."
    assert ask(serve(ScriptedEngine(said)), PORT_QUESTION)["choices"][0]["message"]["content"] == said


def test_chinese_question_chinese_refusal(serve: Serve) -> None:
    url = serve()
    assert ask(url, "巴黎今天天气怎么样？")["choices"][0]["message"]["content"] == REFUSAL["zh"]
    assert "7860" in ask(url, "网关默认监听哪个端口？")["choices"][0]["message"]["content"]


def test_quoting_mode_without_an_engine(serve: Serve) -> None:
    url = serve()
    choice = ask(url, PORT_QUESTION)["choices"][0]
    assert choice["docduet"]["degraded"] == "no engine"
    assert "> The gateway listens on port 7860 by default. [1]" in choice["message"]["content"]
    assert choice["docduet"]["sources"][0]["url"] == "port.md"
    assert httpx.get(f"{url}/readyz").json()["mode"] == "quoting"


@pytest.mark.parametrize(("fail_after", "kept"), [(0, ""), (2, "Port 7860 ")])
def test_an_engine_that_breaks_off_is_followed_by_quotes(serve: Serve, fail_after: int, kept: str) -> None:
    choice = ask(serve(ScriptedEngine("Port 7860 is the default [1].", fail_after=fail_after)), PORT_QUESTION)[
        "choices"
    ][0]
    content = choice["message"]["content"]
    assert content.startswith(kept)
    assert "> The gateway listens on port 7860" in content
    assert choice["docduet"]["degraded"].startswith("engine failed")
    assert choice["docduet"]["sources"]


def test_an_engine_that_says_nothing_is_followed_by_quotes(serve: Serve) -> None:
    choice = ask(serve(ScriptedEngine("")), PORT_QUESTION)["choices"][0]
    assert choice["docduet"]["degraded"] == "engine said nothing"
    assert choice["docduet"]["sources"]


def test_thinking_stays_apart(serve: Serve) -> None:
    message = ask(serve(ScriptedEngine("<think>Hm [1].</think>Port 7860 [1].")), PORT_QUESTION)["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == ("Port 7860 [1].", "Hm [1].")


def test_follow_up_is_rewritten_and_shown(serve: Serve) -> None:
    url = serve()
    history = [{"role": "user", "content": PORT_QUESTION}, {"role": "assistant", "content": "7860 [1]."}]
    answer = ask(url, "and how do I change it?", history)
    assert answer["docduet"]["route"]["rewritten"]
    assert answer["docduet"]["route"]["query"].startswith("Which port does the gateway")
    assert answer["choices"][0]["docduet"]["sources"]


def test_base_answers_alone_and_needs_an_engine(serve: Serve) -> None:
    url = serve(ScriptedEngine("From memory [1]."))
    choice = ask(url, "Anything?", model="base")["choices"][0]
    assert choice["message"]["content"] == "From memory [1]."
    assert choice["docduet"]["sources"] == []
    assert [m["id"] for m in httpx.get(f"{url}/v1/models").json()["data"]] == ["auto", "rag", "base"]
    assert [m["id"] for m in httpx.get(f"{serve()}/v1/models").json()["data"]] == ["auto", "rag"]


def test_base_breaking_off_in_a_stream_ends_with_an_error_object(serve: Serve) -> None:
    chunks = stream(serve(ScriptedEngine("From memory", fail_after=1)), "Anything?", model="base")
    assert chunks[-1]["error"]["code"] == "engine_unavailable"


def test_search(serve: Serve) -> None:
    url = serve()
    found = httpx.post(f"{url}/v1/search", json={"query": "port gateway", "top_k": 2}).json()
    assert found["object"] == "list"
    assert len(found["data"]) <= 2
    assert {"url", "title", "heading_path", "text", "score", "rank", "why"} <= set(found["data"][0])
    zh = httpx.post(f"{url}/v1/search", json={"query": "port", "filters": {"lang": "zh"}}).json()["data"]
    assert {passage["lang"] for passage in zh} == {"zh"}


LABELLED = [
    Page(
        f"{product}/{version}/{lang}/port.md",
        "Ports",
        f"# Ports\n\nThe {product} gateway listens on port {port} by default.\n"
        if lang == "en"
        else f"默认监听 {port} 端口。",
        lang=lang,
        labels={"product": product, "version": version},
    )
    for product, version, lang, port in (
        ("Widget", "1.0", "en", 1010),
        ("Widget", "2.0", "en", 1020),
        ("Widget", "2.0", "zh", 1020),
        ("Gadget", "2.0", "en", 3020),
    )
]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("labelled"))
    build_index(LABELLED, home, RagConfig())
    return home


@pytest.mark.parametrize(
    ("filters", "urls"),
    [
        ({"product": "Widget", "version": "1.0"}, {"Widget/1.0/en/port.md"}),
        ({"product": "Gadget"}, {"Gadget/2.0/en/port.md"}),
        ({"version": "2.0", "lang": "zh"}, {"Widget/2.0/zh/port.md"}),
        ({"product": "Widget", "lang": "en"}, {"Widget/1.0/en/port.md", "Widget/2.0/en/port.md"}),
    ],
)
def test_filters_hold_for_answers_and_for_search(
    serve: Serve, labelled: Home, filters: dict[str, str], urls: set[str]
) -> None:
    url = serve(home=labelled)
    found = httpx.post(f"{url}/v1/search", json={"query": PORT_QUESTION, "filters": filters}).json()["data"]
    assert {passage["url"] for passage in found} == urls
    assert all(passage[name] == value for passage in found for name, value in filters.items())
    question = "默认监听哪个端口？" if filters.get("lang") == "zh" else PORT_QUESTION
    choice = ask(url, question, docduet={"filters": filters})["choices"][0]
    sources = choice["docduet"]["sources"]
    assert sources
    assert {source["url"] for source in sources} <= urls
    assert all(source[name] == value for source in sources for name, value in filters.items())


def test_a_filter_that_no_page_passes_is_a_clear_error(serve: Serve, labelled: Home) -> None:
    url = serve(home=labelled)
    for filters, param, known in (
        ({"product": "Wigdet"}, "filters.product", "Gadget, Widget"),
        ({"product": "Gadget", "version": "1.0"}, "filters.version", "version can be: 2.0"),
    ):
        errors = [
            ask(url, PORT_QUESTION, docduet={"filters": filters})["error"],
            ask(url, PORT_QUESTION, docduet={"filters": filters}, stream=True)["error"],
            httpx.post(f"{url}/v1/search", json={"query": "port", "filters": filters}).json()["error"],
        ]
        for error in errors:
            assert (error["code"], error["param"], error["type"]) == ("unknown_label", param, "invalid_request_error")
            assert known in error["message"]
    unknown = httpx.post(f"{url}/v1/search", json={"query": "port", "filters": {"prodct": "x"}})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "filters.prodct")


def test_the_labels_that_there_are(serve: Serve, labelled: Home, tmp_path: Path) -> None:
    body = httpx.get(f"{serve(home=labelled)}/v1/labels").json()
    assert body["values"] == {"product": ["Gadget", "Widget"], "version": ["2.0", "1.0"], "lang": ["en", "zh"]}
    assert {"product": "Widget", "version": "2.0", "lang": "zh", "pages": 1} in body["data"]
    assert sum(entry["pages"] for entry in body["data"]) == len(LABELLED)
    assert httpx.get(f"{serve(home=Home(tmp_path))}/v1/labels").json()["error"]["code"] == "no_index"


BAD = [
    ({"model": "gpt-5", "messages": [{"role": "user", "content": "x"}]}, 404, "model_not_found", "model"),
    ({"model": "rag", "messages": []}, 400, "invalid_request", "messages"),
    ({"model": "rag", "messages": [{"role": "user", "content": "  "}]}, 400, "empty_question", "messages"),
    ({"model": "rag", "messages": [{"role": "assistant", "content": "x"}]}, 400, "empty_question", "messages"),
    ({"model": "rag", "messages": [{"role": "user", "content": "x" * 200_000}]}, 400, "question_too_long", "messages"),
    ({"model": "rag", "messages": [{"role": "user", "content": "x"}], "n": 3}, 400, "unsupported_parameter", "n"),
    (
        {"model": "rag", "messages": [{"role": "user", "content": "x"}], "tool_choice": "required"},
        400,
        "unsupported_parameter",
        "tool_choice",
    ),
    ({"model": "rag", "messages": [{"role": "wizard", "content": "x"}]}, 400, "invalid_request", "messages.0.role"),
    ({"messages": [{"role": "user", "content": "x"}]}, 400, "invalid_request", "model"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD)
def test_bad_requests_in_openais_error_shape(serve: Serve, body: Any, status: int, code: str, param: str) -> None:
    response = httpx.post(f"{serve()}/v1/chat/completions", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "code", "param"}


def test_malformed_json_wrong_path_wrong_method_and_huge_body(serve: Serve) -> None:
    url = serve(max_body_mb=0.5)
    got = [
        httpx.post(f"{url}/v1/chat/completions", content=b'{"model": "rag", ', headers=JSON),
        httpx.post(f"{url}/v1/chat/completions", content=b'{"model": "rag"}'),
        httpx.post(f"{url}/v1/chat/completions", content=b"[]", headers=JSON),
        httpx.get(f"{url}/v1/nothing"),
        httpx.get(f"{url}/v1/chat/completions"),
        httpx.post(f"{url}/v1/chat/completions", content=b"x" * 600_000),
        httpx.post(f"{url}/v1/chat/completions", content=iter([b"x" * 300_000] * 2)),
        httpx.get(f"{url}/pages/0123456789abcdef"),
    ]
    assert [(r.status_code, r.json()["error"]["code"]) for r in got] == [
        (400, "invalid_json"),
        (400, "invalid_json"),
        (400, "invalid_json"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (413, "body_too_large"),
        (413, "body_too_large"),
        (404, "page_not_found"),
    ]


@pytest.mark.parametrize(("lang", "said"), [("en-US", "no longer in the docs"), ("zh-CN", "文档中已没有这一页")])
def test_who_follows_a_citation_to_a_page_that_is_gone_is_told_so(serve: Serve, lang: str, said: str) -> None:
    headers = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": lang}
    gone = httpx.get(f"{serve()}/pages/0123456789abcdef", headers=headers)
    assert gone.status_code == 404
    assert said in gone.text
    assert gone.headers["content-security-policy"].startswith("default-src 'none'")


def test_the_demonstration_s_model_is_told(home: Home) -> None:
    engines = (
        EngineConfig(name="base", base_url="http://scripted", served_model="docduet-tiny"),
        EngineConfig(name="sft", base_url="http://scripted", served_model="Qwen3-8B"),
    )
    supervisor: Any = ScriptedSupervisor(ScriptedEngine(), ScriptedEngine(name="sft"))
    app = create_app(ServingConfig(engines=engines), supervisor, LiveIndex(home, RagConfig()))
    with in_background(app) as url:
        parts = httpx.get(f"{url}/readyz").json()["parts"]["engines"]
    assert [parts[name].get("demo") for name in ("base", "sft")] == [True, None]


def test_nothing_indexed_yet(serve: Serve, tmp_path: Path) -> None:
    url = serve(home=Home(tmp_path))
    response = httpx.get(f"{url}/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)
    assert ask(url, "x")["error"]["code"] == "no_index"
    body = {"model": "rag", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 503
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


def test_metrics_count_answers_by_outcome(serve: Serve) -> None:
    url = serve()
    ask(url, PORT_QUESTION)
    ask(url, "What is the capital of France?")
    ask(url, "x" * 30_000)
    text = httpx.get(f"{url}/metrics").text
    assert 'docduet_answers_total{arm="rag",outcome="degraded"} 1.0' in text
    assert 'docduet_answers_total{arm="rag",outcome="refused"} 1.0' in text
    assert 'docduet_seconds_count{arm="rag",stage="retrieve"} 2.0' in text


def test_a_client_that_leaves_stops_the_engine(serve: Serve) -> None:
    import time

    engine = ScriptedEngine("word " * 200_000, cut=5)
    url = serve(engine)
    body = {"model": "base", "stream": True, "messages": [{"role": "user", "content": "go on"}]}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    for _ in range(100):
        if engine.closed_early:
            break
        time.sleep(0.05)
    assert engine.closed_early == 1


def test_instructions_reach_the_prompt_and_old_markers_do_not(serve: Serve) -> None:
    engine = ScriptedEngine("Port 7860 [1].")
    history = [
        {"role": "system", "content": "Answer like a pirate."},
        {"role": "user", "content": "Hello there, what do you read?"},
        {"role": "assistant", "content": "Markdown [3]."},
    ]
    ask(serve(engine), PORT_QUESTION, history)
    prompt = engine.asked[-1]
    assert "Answer like a pirate." in prompt[0]["content"]
    assert prompt[2]["content"] == "Markdown."
    assert prompt[0]["content"].index("Passages:") > prompt[0]["content"].index("pirate")

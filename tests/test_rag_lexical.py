"""Terms: English, Chinese, identifiers, and where they stand."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lexical import spans, terms, tokenize


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("--max-model-len", "max_model_len"),
        ("ERR_1234", "err_1234"),
        ("installing", "installed"),
        ("vLLM", "VLLM"),
        ("v1.2.3", "V1.2.3"),
    ],
)
def test_spellings_that_share_a_term(text: str, other: str) -> None:
    assert tokenize(text)[0] == tokenize(other)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--max-model-len", {"max_model_len", "max", "model", "len"}),
        ("HybridRetriever", {"hybridretriever", "hybrid", "retriev"}),
        ("ERR_1234", {"err_1234", "err", "1234"}),
        ("断点续训怎么用", {"断点"}),
        ("设置max_length参数", {"设置", "max_length", "参数"}),
        ("C++", {"c++"}),
    ],
)
def test_what_a_text_gives(text: str, expected: set[str]) -> None:
    assert expected <= set(tokenize(text))


@pytest.mark.parametrize("text", ["", "   ", "what is the", "怎么", "?!。，", "的"])
def test_what_says_nothing_gives_nothing(text: str) -> None:
    assert tokenize(text) == []


def test_a_chinese_clause_is_more_than_one_term() -> None:
    assert len(tokenize("网关默认监听七八六零端口")) > 3


def test_spans() -> None:
    text = "Set `--max-model-len` or MAX_MODEL_LEN. 默认端口是7860。"
    marked = [text[a:b] for a, b in spans(text, tokenize("max_model_len 端口"))]
    assert marked == ["max-model-len", "MAX_MODEL_LEN", "端口"]


@given(st.text(max_size=200))
def test_terms_stand_where_they_say(text: str) -> None:
    for term in terms(text):
        assert 0 <= term.start < term.end <= len(text)
        assert term.token
    found = spans(text, tokenize(text))
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))


def test_threads_agree() -> None:
    texts = [f"installing engines number{n} 断点续训第{n}次" for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tokenize, texts)) == [tokenize(text) for text in texts]


def test_chinese_is_quiet(tmp_path: object) -> None:
    code = "from rag.lexical import tokenize; tokenize('默认端口')"
    env = {"DOCDUET_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert (done.stdout, done.stderr) == ("", "")

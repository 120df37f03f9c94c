"""The language of short questions and of pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from data.lang import detect_lang

QUESTIONS = {
    "zh": [
        "怎么设置 --max-model-len",
        "设置",
        "error 404 是什么意思",
        "CUDA out of memory 怎么办",
        "vllm serve Qwen/Qwen3-8B 报错 CUDA out of memory",
        "megatron 支持 GRPO 吗",
        "--max-model-len 是啥",
    ],
    "en": [
        "How do I set --max-model-len?",
        "install",
        "docker run",
        "and on Windows?",
        "what does 模型 mean in the config file?",
        "multimodal grpo vllm megatron lora merge",
        "ERR_1234",
        "What's the naïve Bayes résumé option?",
        "",
        "123",
    ],
    "de": ["Wie installiere ich das auf Windows?", "Ich möchte den Server neu starten"],
    "fr": ["Où se trouve le fichier de configuration"],
    "ja": ["vLLM とは何ですか"],
    "ko": ["한국어 질문입니다"],
    "ru": ["Как установить пакет?"],
}


@pytest.mark.parametrize(("lang", "text"), [(lang, text) for lang, texts in QUESTIONS.items() for text in texts])
def test_short_questions(lang: str, text: str) -> None:
    assert detect_lang(text) == lang


def test_code_says_nothing_about_the_language_of_a_page() -> None:
    code = "```python\n" + "from which import that  # where is the error\n" * 40 + "```\n"
    assert detect_lang(f"安装方法如下：\n\n{code}") == "zh"
    assert detect_lang('How to print it:\n\n```\nprint("你好，世界，你好，世界，你好，世界")\n```\n') == "en"


def test_questions_in_english_and_chinese_load_no_model() -> None:
    code = (
        "import sys; from data.lang import detect_lang as d; d('怎么安装'); d('How do I install it?'); "
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

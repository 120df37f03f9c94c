"""Follow-up questions are told from those that stand alone, and joined with what they lean on."""

import pytest

from data.prompts import Message
from rag.follow_up import is_follow_up, join, to_search

HISTORY = [
    Message(role="user", content="How do I install DocDuet on Linux?"),
    Message(role="assistant", content="Run make demo [1]."),
]


@pytest.mark.parametrize(
    "question",
    [
        "and on Windows?",
        "What about macOS?",
        "How do I undo it?",
        "why?",
        "那 Windows 呢？",
        "它怎么卸载",
        "Windows?",
        "默认是什么？",
        "这样要重启网关服务吗？",
        "该参数的默认值是多少，在哪里修改？",
        "其默认端口在哪里设置？",
    ],
)
def test_follow_ups_are_recognised(question: str) -> None:
    assert is_follow_up(question, HISTORY)
    assert not is_follow_up(question, [])


def test_a_question_asked_again_is_not_joined_with_itself() -> None:
    question = "Which port is it, and how do I change it?"
    history = [Message(role="user", content=question), Message(role="assistant", content="7860 [1].")]
    assert not is_follow_up(question, history)
    follow = [*HISTORY, Message(role="user", content="and on Windows?")]
    assert join("and on Windows?", follow) == "How do I install DocDuet on Linux on Windows"


@pytest.mark.parametrize(
    "question",
    [
        "How do I change the port of the gateway?",
        "Which file formats can DocDuet read?",
        "如何修改网关的监听端口配置？",
        "网关的端口是什么？",
        "我应该怎样修改网关的监听端口配置？",
        "尤其是大型站点，如何配置抓取间隔？",
        "What is the weather in Paris?",
    ],
)
def test_standalone_questions_are_left_alone(question: str) -> None:
    assert not is_follow_up(question, HISTORY)


def test_join_keeps_the_topic_and_what_is_new() -> None:
    assert join("and on Windows?", HISTORY) == "How do I install DocDuet on Linux on Windows"
    longer = [*HISTORY, Message(role="user", content="and on Windows?"), Message(role="assistant", content="No.")]
    assert join("what about macOS?", longer) == "How do I install DocDuet on Linux macOS"
    assert join("那 Windows 呢？", [Message(role="user", content="怎么安装？")]) == "怎么安装？ Windows".replace(
        "？", ""
    )


def test_only_follow_ups_are_joined_for_the_search() -> None:
    assert to_search("and on Windows?", HISTORY) == "How do I install DocDuet on Linux on Windows"
    assert to_search("Which file formats can DocDuet read?", HISTORY) == "Which file formats can DocDuet read?"

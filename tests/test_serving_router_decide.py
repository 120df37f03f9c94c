"""Rules and decisions: tables in, routes out."""

from __future__ import annotations

import pytest

from rag.labels import LabelCount
from serving.router.decide import ARMS, READS, Policy, decide, untrained, weigh
from serving.router.features import NAMES, kind_of
from serving.router.model import RouterModel, Voice
from serving.router.rules import exact_names, labels_named, reply_to, small_talk


@pytest.mark.parametrize(
    ("said", "talk"),
    [
        ("hi", "greeting"),
        ("Hello there!", "greeting"),
        ("Good morning, ", "greeting"),
        ("How are you?", "greeting"),
        ("你好！", "greeting"),
        ("您好呀", "greeting"),
        ("在吗？", "greeting"),
        ("thanks", "thanks"),
        ("Great, thank you so much!", "thanks"),
        ("ok thanks, that works", "thanks"),
        ("谢谢", "thanks"),
        ("好的，谢谢您的帮助！", "thanks"),
        ("bye", "farewell"),
        ("再见啦", "farewell"),
        ("Hello, how do I change the port?", None),
        ("hello world program", None),
        ("thanks page", None),
        ("你好，怎么修改端口？", None),
        ("谢谢页面怎么改", None),
        ("high availability", None),
        ("yes", None),
        ("!!", None),
        ("", None),
    ],
)
def test_small_talk_is_the_whole_message_or_none(said: str, talk: str | None) -> None:
    assert small_talk(said) == talk


def test_replies_come_in_the_language_of_the_greeting() -> None:
    assert reply_to("greeting", "en").startswith("Hello")
    assert reply_to("greeting", "zh").startswith("您好")


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does --max-model-len do?", ["--max-model-len"]),
        ("docduet serve -p", ["-p"]),
        ("What is new in v2.1.3?", ["v2.1.3"]),
        ("Does it need Python 3.11?", ["3.11"]),
        ("I get ERR_CONNECTION_REFUSED, why?", ["ERR_CONNECTION_REFUSED"]),
        ("E1042 when saving", ["E1042"]),
        ("the server says error 503", ["error 503"]),
        ("It ends with exit code 137", ["exit code 137"]),
        ("错误码1042是什么意思？", ["错误码1042"]),
        ("怎么设置 answer_timeout_s？", ["answer_timeout_s"]),
        ("ModuleNotFoundError at start", ["ModuleNotFoundError"]),
        ("Where is docduet.toml?", ["docduet.toml"]),
        ("What does `refresh` mean?", ["`refresh`"]),
        ("2.0 和 2.1 有什么区别？", ["2.0", "2.1"]),
        ("How do I change the port?", []),
        ("A well-known follow-up question about OpenAI", []),
        ("What happened in 2022?", []),
        ("怎么修改端口？", []),
    ],
)
def test_exact_names_are_seen(question: str, names: list[str]) -> None:
    assert exact_names(question) == names


def test_products_and_versions_speak_only_where_there_are_several() -> None:
    several = [LabelCount("Widget", "latest", "en", 3), LabelCount("Gadget Pro", "legacy", "en", 3)]
    one = [LabelCount("Widget", "", "en", 3)]
    assert labels_named("How do I reset the gadget pro?", several) == ["Gadget Pro"]
    assert labels_named("what changed in the legacy docs", several) == ["legacy"]
    assert labels_named("How do widgets work?", several) == []
    assert labels_named("How does Widget work?", one) == []


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How do I change the port?", "how"),
        ("How many ports are there?", "what"),
        ("What is a port?", "what"),
        ("Why is it slow?", "why"),
        ("What is the difference between rag and base?", "compare"),
        ("The engine does not start: it crashes", "trouble"),
        ("Is PDF supported?", "yesno"),
        ("ports", "other"),
        ("怎么修改端口？", "how"),
        ("端口是什么？", "what"),
        ("为什么很慢？", "why"),
        ("rag 和 base 有什么区别？", "compare"),
        ("启动报错怎么办？", "trouble"),
        ("支持 PDF 吗？", "yesno"),
        ("端口", "other"),
    ],
)
def test_kinds_of_questions(question: str, kind: str) -> None:
    assert kind_of(question) == kind


@pytest.mark.parametrize(
    ("scores", "names", "arms"),
    [
        ({"rag": 0.9, "sft": 0.4}, [], ("rag",)),
        ({"rag": 0.55, "sft": 0.8}, [], ("sft",)),
        ({"rag": 0.7, "sft": 0.75}, [], ("sft", "rag")),
        ({"rag": 0.75, "sft": 0.7}, [], ("rag", "sft")),
        ({"rag": 0.45, "sft": 0.48}, [], ()),
        ({"rag": 0.49, "sft": 0.55}, [], ("sft",)),
        ({"rag": 0.6, "sft": 0.9}, ["--port"], ("rag",)),
        ({"rag": 0.6, "sft": 0.9, "sft-rag": 0.7}, ["--port"], ("sft-rag",)),
        ({"rag": 0.2, "sft": 0.9}, ["--port"], ()),
        ({"rag": 0.8}, [], ("rag",)),
        ({"rag": 0.8, "sft": 0.78, "sft-rag": 0.79}, [], ("rag", "sft-rag")),
    ],
)
def test_decisions(scores: dict[str, float], names: list[str], arms: tuple[str, ...]) -> None:
    route = decide(Policy(scores, margin=0.1, refuse_below=0.5), names, "en")
    assert route.arms == arms
    assert route.scores == scores


def test_the_reason_is_in_the_questions_language_and_names_what_spoke() -> None:
    policy = Policy({"rag": 0.8, "sft": 0.75})
    assert "--port" in decide(policy, ["--port"], "en").reason
    assert decide(policy, ["--port"], "zh").reason.startswith("问题提到 --port")
    assert "rag and sft" in decide(policy, [], "en").reason
    assert "rag 和 sft" in decide(policy, [], "zh").reason


def untrained_of(**measured: float) -> dict[str, float]:
    return untrained({**dict.fromkeys(NAMES, 0.0), **measured})


def route_of(**measured: float) -> tuple[str, ...]:
    features = {**dict.fromkeys(NAMES, 0.0), **measured}
    return decide(weigh(features, ARMS, None), [], "en").arms


def test_the_untrained_default_reads_what_the_docs_hold() -> None:
    assert route_of(verdict=0.95, is_how=1, trained=1) == ("rag",)
    assert route_of(verdict=0.95, is_what=1, trained=1) == ("rag",)


def test_the_untrained_default_asks_what_was_learned_only_for_broad_and_fresh_questions() -> None:
    assert route_of(verdict=0.3, is_how=1, trained=1) == ("sft",)
    assert route_of(verdict=0.55, is_why=1, trained=1) == ("sft", "rag")
    assert route_of(verdict=0.3, is_what=1, trained=1) == ()
    assert route_of(verdict=0.3, is_how=1, trained=1, stale=1) == ()
    assert route_of(verdict=0.3, is_how=1, trained=0) == ()
    assert route_of(verdict=0.3, is_how=1, trained=1, unknown=0.6) == ()
    assert untrained_of(is_how=1, trained=1, stale=0.5)["sft"] == untrained_of(is_how=1, trained=1)["sft"] / 2


def test_a_fitted_model_weighs_only_the_voices_it_knows() -> None:
    voices = {"rag": Voice(intercept=0, weights={"verdict": 2}), "sft": Voice(intercept=1, weights={})}
    model = RouterModel(voices=voices, margin=0.05, refuse_below=0.4, target_risk=0.2)
    found = weigh({"verdict": 1.0}, ARMS, model)
    assert found.scores == {"rag": 0.8808, "sft": 0.7311}
    assert (found.margin, found.refuse_below) == (0.05, 0.4)
    assert weigh({"verdict": 1.0}, ["rag", "base"], model).scores == {"rag": 0.8808}
    assert "base" not in ARMS
    assert set(READS) < set(ARMS)

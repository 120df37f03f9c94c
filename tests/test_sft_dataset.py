"""Gates, duplicates, decontamination, mixture, split, files on disk, and the command."""

from __future__ import annotations

import errno
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.errors import ConfigError, DiskFullError, EmptySourceError
from data.prompts import REFUSAL, Message, sft_messages
from data.types import Page
from docduet import app
from sft.build import build
from sft.decontaminate import Decontamination, NearQuestions, read_questions
from sft.duplicates import ALIKE, ExactDuplicates, NearDuplicates, SameMeaning, jaccard, words
from sft.gates import sift, standard_gates
from sft.mixture import Mixture
from sft.output import alpaca, write_dataset
from sft.rules.writer import RuleWriter
from sft.split import Split, split
from sft.standalone import answer_needs_page, question_needs_page
from sft.teacher.prompts import WITHOUT_THE_PASSAGES
from sft.tokens import Estimate, load_counter, of_messages
from sft.types import Reject, Sample, Shape
from tests.fakes import HashedWords

GATES = standard_gates(Estimate(), 400)
PAGE = "The port is the number that the server listens on. Default is 7860. It must be free."


def sample(
    question: str = "What is the port?",
    answer: str = PAGE,
    shape: Shape = "single",
    lang: str = "en",
    page: str = "a.md",
    family: str = "term:port",
    support: str = PAGE,
) -> Sample:
    messages = (*sft_messages(question, (), lang), Message(role="assistant", content=answer))
    return Sample(messages, shape, lang, (page,), ("h",), "rules", family, support)


def gate_of(one: Sample) -> str:
    outcome = next(sift([one], GATES))
    return outcome.gate if isinstance(outcome, Reject) else ""


def test_a_good_sample_passes() -> None:
    assert gate_of(sample()) == ""


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"answer": " "}, "structure"),
        ({"question": ""}, "structure"),
        ({"answer": "```bash\nmake"}, "structure"),
        ({"answer": f"<think>hm</think>{PAGE}"}, "leak"),
        ({"answer": f"{PAGE} <|im_end|>"}, "leak"),
        ({"answer": f"Use only the numbered passages. {PAGE}"}, "leak"),
        ({"answer": f"{PAGE} [1]"}, "leak"),
        ({"answer": f"{PAGE} <|vision_start|>"}, "leak"),
        ({"question": "What is <|endoftext|> for?"}, "leak"),
        ({"question": "Which port? No two questions about the same thing."}, "leak"),
        ({"answer": "端口是服务器监听的数字，默认是七千八百六十，必须空闲。"}, "language"),
        ({"question": "服务器监听的端口到底是什么，怎么修改它？"}, "language"),
        ({"question": "What does the table below say?"}, "standalone"),
        ({"answer": f"As shown above, this is it. {PAGE}"}, "standalone"),
        ({"answer": f"{PAGE} Do the following:"}, "standalone"),
        ({"answer": "Bananas are yellow fruits that grow in bunches on tall tropical plants."}, "support"),
        ({"answer": PAGE * 20}, "length"),
    ],
)
def test_each_gate_turns_down_what_is_its_own(changes: dict[str, Any], gate: str) -> None:
    assert gate_of(sample(**changes)) == gate


def test_roles_must_alternate() -> None:
    one = sample()
    assert gate_of(replace(one, messages=(*one.messages, one.messages[1]))) == "structure"


def test_passages_in_the_prompt_hold_no_control_tokens() -> None:
    """A page could end the system message and begin another."""
    one = sample(shape="raft", answer=f"{PAGE} [1]")
    shown = replace(one, messages=(Message(role="system", content="[1] A\n<|im_end|>\nB"), *one.messages[1:]))
    assert (gate_of(one), gate_of(shown)) == ("", "leak")


def test_thinking_does_not_repeat_the_prompt() -> None:
    one = sample(answer=f"<think>\nI think like somebody who knows the product by heart.\n</think>\n\n{PAGE}")
    told = WITHOUT_THE_PASSAGES["en"]
    assert gate_of(replace(one, thinks=True)) == ""
    thought = sample(answer=f"<think>\n{told}\n</think>\n\n{PAGE}")
    assert gate_of(replace(thought, thinks=True)) == "leak"


def test_a_refusal_needs_no_support() -> None:
    assert gate_of(sample(answer=REFUSAL["en"], shape="unanswerable", support="")) == ""


def test_an_embedder_may_find_support_that_word_pairs_do_not() -> None:
    said = "The port is 7860 as the default. The number the server uses must be free for it."
    strict, lenient = standard_gates(Estimate(), 400)[4], standard_gates(Estimate(), 400, HashedWords())[4]
    one = sample(answer=said, support=PAGE)
    assert strict.check(one) != ""
    assert lenient.check(one) == ""


@pytest.mark.parametrize(
    "text", ["What does this page say?", "下表说明了什么？", "上述参数是什么？", "Explain the above."]
)
def test_questions_that_need_the_page(text: str) -> None:
    assert question_needs_page(text)


@pytest.mark.parametrize(
    "text", ["What does `above` do?", "How do I move the cursor?", "怎么下载模型？", "如何上传文件？"]
)
def test_questions_that_do_not(text: str) -> None:
    assert not question_needs_page(text)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("Run the following command:\n\n```bash\nmake\n```", False),
        ("Run the following command.", True),
        ("```bash\nmake\n```\nThe above command builds it.", False),
        ("The above command builds it.", True),
        ("```bash\nmake\n```\nThe above dataset has three columns.", True),
        ("```bash\nmake\n```\nThe above table lists all targets.", True),
        ("- `a`: one\n- `b`: two\n\nThe above options may be combined.", False),
        ("```\nmake\n```\n上述数据集需要提前下载。", True),
        ("命令如下：\n```\nmake\n```", False),
        ("命令如下：", True),
        ("文件放在当前文件夹下。", False),
        ("```\nmake\n```\n上述示例会生成文件。", False),
        ("如下图所示。", True),
        ("参数含义同上。", True),
    ],
)
def test_answers_that_need_the_page(text: str, needs: bool) -> None:
    assert bool(answer_needs_page(text)) is needs


def test_exact_duplicates_are_the_same_words() -> None:
    gate = ExactDuplicates()
    assert gate.check(sample()) == ""
    assert "same" in gate.check(sample(question="what is the PORT"))
    assert gate.check(sample(question="Which port is it?")) == ""


def test_near_duplicates_go_but_rewrites_stay() -> None:
    words = [f"word{n}" for n in range(80)]
    first = sample("How do I set the port of the server?", " ".join(words))
    near = sample("How do I set the port of a server?", " ".join([*words[:79], "other"]))
    rewritten = sample("I need another address; which knob?", " ".join(words))
    different = sample("How do I set the port of the server?", " ".join(reversed(words)))
    outcome = list(NearDuplicates().sift([first, near, rewritten, different]))
    assert [isinstance(one, Reject) for one in outcome] == [False, True, False, False]


def test_near_duplicates_find_nearly_all_planted_ones() -> None:
    rng = random.Random(1)
    originals = [
        sample(f"question {n} about {rng.random()}", " ".join(f"w{rng.randrange(5000)}" for _ in range(90)))
        for n in range(200)
    ]
    copies = [sample(one.questions[0], one.answers[0] + " more") for one in originals]
    outcome = list(NearDuplicates().sift([*originals, *copies]))
    assert sum(isinstance(one, Reject) for one in outcome[:200]) == 0
    assert sum(isinstance(one, Reject) for one in outcome[200:]) >= 195


def test_the_same_meaning_within_a_family() -> None:
    gate = SameMeaning(HashedWords())
    twins = [sample("set the port now"), sample("now set the port"), sample("now set the port", family="term:other")]
    assert [isinstance(one, Reject) for one in gate.sift(twins)] == [False, True, False]


def test_evaluation_questions_stay_out(tmp_path: Path) -> None:
    long = "how do I keep only the best three checkpoints of a run when disks are small"
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps({"question": "What is the port?"}) + "\n" + json.dumps({"question": long}) + "\n")
    gate = Decontamination(read_questions(path))
    assert gate.check(sample("what is the  port"))
    assert gate.check(sample(f"Please tell me {long}, thanks"))
    assert not gate.check(sample("What is the port number for?"))


def test_what_nearly_is_an_evaluation_question_stays_out() -> None:
    port, of_key = (
        "How can I see which port the gateway listens on, please?",
        "What, by default, is the value that {} takes?",
    )
    gate = Decontamination([port, "`top_k` 的默认值是多少呢？", of_key.format("key_1")])
    assert gate.check(sample("Please, how can I see on which port gateway listens?"))
    assert gate.check(sample("`top_k` 的默认的值是多少？"))
    assert not gate.check(sample("How can I hide the gateway from others?"))
    assert not gate.check(sample("`top_p` 的默认值是多少呢？"))  # the same words but for the name
    assert not gate.check(sample(of_key.format("key_2")))


def test_near_questions_are_those_that_every_pair_compared_would_find() -> None:
    rng = random.Random(5)
    vocabulary = [f"w{chr(97 + n)}" for n in range(14)]
    known = [" ".join(rng.sample(vocabulary, rng.randint(5, 12))) for _ in range(60)]
    near = NearQuestions(known)
    for _ in range(400):
        asked = " ".join(rng.sample(vocabulary, rng.randint(5, 13)))
        alike = [one for one in known if jaccard(frozenset(words(asked)), frozenset(words(one))) >= ALIKE]
        assert bool(near.of(asked)) == bool(alike)
        assert not alike or near.of(asked) in alike


@pytest.mark.parametrize(("text", "message"), [("", "no questions"), ('{"a": 1}', 'no "question"'), ("{", "not JSON")])
def test_a_broken_evaluation_set_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_questions(path)


def test_no_page_and_no_family_on_both_sides() -> None:
    rng = random.Random(2)
    pool = [sample(f"q{n}", page=f"p{rng.randrange(120)}", family=f"f{rng.randrange(400)}") for n in range(300)]
    parts = split(pool, 0.1)
    assert 0 < len(parts.val) <= 30
    assert len(parts.train) + len(parts.val) == 300
    for key in ("pages", "family"):
        assert not {getattr(one, key) for one in parts.train} & {getattr(one, key) for one in parts.val}


def test_the_files_are_what_the_trainers_read(tmp_path: Path) -> None:
    talk = sample()
    talk = replace(
        talk, messages=(*talk.messages, Message(role="user", content="And?"), Message(role="assistant", content="So."))
    )
    write_dataset(tmp_path / "ds", Split((talk,), (sample("other"),)), [Reject(sample("bad"), "leak", "why")])
    folder = tmp_path / "ds"
    train = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert train == [{"messages": list(talk.messages)}]
    first = json.loads((folder / "alpaca_train.json").read_text())[0]
    assert (first["instruction"], first["output"]) == ("And?", "So.")
    assert first["history"] == [["What is the port?", PAGE]]
    assert first == alpaca(talk)
    info = json.loads((folder / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in info.values()} <= {path.name for path in folder.iterdir()}
    lines = [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]
    assert [(line["split"], line["line"]) for line in lines] == [("train", 1), ("val", 1)]
    assert json.loads((folder / "rejects.jsonl").read_text())["reason"] == "why"


def test_llama_factory_is_told_of_files_with_samples_only(tmp_path: Path) -> None:
    """It cannot load an empty one."""
    write_dataset(tmp_path / "ds", Split((sample(),), ()), [])
    info = json.loads((tmp_path / "ds" / "dataset_info.json").read_text())
    assert sorted(info) == ["docduet_train", "docduet_train_alpaca", "docduet_train_sharegpt"]
    assert (tmp_path / "ds" / "val.jsonl").read_text() == ""
    for name in ("alpaca_val", "sharegpt_val"):
        assert json.loads((tmp_path / "ds" / f"{name}.json").read_text()) == []


def test_a_failed_write_leaves_the_old_dataset(tmp_path: Path) -> None:
    out = tmp_path / "ds"
    write_dataset(out, Split((sample(),), ()), [])
    before = (out / "train.jsonl").read_text()

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match="free some room"):
        write_dataset(out, Split((sample("new"),), ()), [], full)
    assert (out / "train.jsonl").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["ds"]


def test_other_peoples_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        write_dataset(tmp_path, Split((sample(),), ()), [])


def docs() -> list[Page]:
    body = "\n\n".join(
        f"## Part {name}\n\nThe {name} part stores {name} widgets in boxes until somebody needs them again.\n\n"
        + "\n".join(
            f"- {name}_{kind}: The number of {name} {kind}s that are kept. Default is {n}."
            for n, kind in enumerate(("box", "lid", "key"), 2)
        )
        for name in ("red", "green", "blue")
    )
    return [
        Page(f"w/{n}.md", f"Widget {title}", body.replace("red", title), "en")
        for n, title in enumerate(("Alpha", "Beta", "Gamma"))
    ]


def apart() -> list[Page]:
    """Five pages that share neither options nor headings, so that each may lie on either side of the split."""
    first = docs()[0].body
    return [
        Page(f"w/{name}.md", f"Widget {name}",
             first.replace("Alpha", name.lower()).replace("_", f"_{name[:3]}_").replace("## Part ", f"## {name} "))
        for name in ("Alpha", "Beta", "Gamma", "Delta", "Epsilon")
    ]  # fmt: skip


MIXTURE = Mixture("m", {"single": 0.7, "broad": 0.3}, repeat=3)


def test_a_build_writes_a_card_that_counts_right(tmp_path: Path) -> None:
    facts = build(docs(), [RuleWriter()], MIXTURE, Estimate(), 2000, tmp_path / "ds", val_share=0.2)
    card = (tmp_path / "ds" / "card.md").read_text()
    assert f"{len(facts.split.train)} samples to train on" in card
    assert "Lengths are estimates" in card
    for picture in ("tokens_per_shape", "answer_lengths", "page_coverage", "rejects"):
        assert (tmp_path / "ds" / f"{picture}.png").read_bytes()[:4] == b"\x89PNG"
    assert len((tmp_path / "ds" / "rejects.jsonl").read_text().splitlines()) == len(facts.rejects)
    again = build(docs(), [RuleWriter()], MIXTURE, Estimate(), 2000, tmp_path / "ds2", val_share=0.2)
    assert [one.id for one in again.split.train] == [one.id for one in facts.split.train]


def test_every_page_is_learned_where_nothing_is_set_aside(tmp_path: Path) -> None:
    some = build(apart(), [RuleWriter()], MIXTURE, Estimate(), 2000, None, val_share=0.5)
    every = build(apart(), [RuleWriter()], MIXTURE, Estimate(), 2000, tmp_path / "ds", val_share=0)
    assert every.split.val == ()
    assert every.split.train == every.mixed.samples == some.mixed.samples
    assert (some.pages_set_aside, every.pages_set_aside) == (2, 0)
    assert any(said.startswith("2 of 5 pages are set aside for validation") for said in some.warnings())
    assert "every page is learned" in (tmp_path / "ds" / "card.md").read_text()
    assert json.loads((tmp_path / "ds" / "build.json").read_text())["val_share"] == 0


def test_nothing_over_max_length_is_silent(tmp_path: Path) -> None:
    facts = build(docs(), [RuleWriter()], MIXTURE, Estimate(), 70, None)
    assert facts.reject_counts["length"] > 0
    assert all(of_messages(one.messages, Estimate()) <= 70 for one in facts.mixed.samples)
    assert not list(tmp_path.iterdir())


def test_no_pages_and_pages_of_nothing_are_told() -> None:
    with pytest.raises(EmptySourceError, match="docduet data sync"):
        build([], [RuleWriter()], MIXTURE, Estimate(), 2000, None)
    with pytest.raises(ConfigError, match="nothing to ask about"):
        build([Page("a.md", "A", "Hi.", "en")], [RuleWriter()], MIXTURE, Estimate(), 2000, None)


def test_a_page_of_two_megabytes_gives_what_fits() -> None:
    first, *others = docs()
    block = "\n".join(f"widget --option-{n} value{n} > out{n}" for n in range(55_000))
    large = replace(first, body=f"{first.body}\n\n## Log\n\nThe log of a run:\n\n```text\n{block}\n```\n")
    assert len(large.body) > 2_000_000
    facts = build([large, *others], [RuleWriter()], MIXTURE, Estimate(), 2000, None)
    assert facts.page_counts[first.url] > 5
    assert any(reject.gate == "length" and first.url in reject.sample.pages for reject in facts.rejects)


def test_short_answers_beside_the_base_models_are_warned_of(tmp_path: Path) -> None:
    answers = tmp_path / "base.jsonl"
    answers.write_text(json.dumps({"answer": "word " * 900}) + "\n")
    facts = build(docs(), [RuleWriter()], MIXTURE, Estimate(), 2000, None, base_answers=answers)
    assert any("driblets" in warning for warning in facts.warnings())


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no tokenizer\.json"):
        load_counter(tmp_path)


def test_a_real_tokenizer_counts(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"the": 0, "port": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    counter = load_counter(tmp_path)
    assert counter.exact
    assert counter.count("the port ? the") == 4


def test_the_command_builds_from_the_page_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "docs"
    source.mkdir()
    for one in docs():
        (source / f"{one.title}.md").write_text(f"# {one.title}\n\n{one.body}\n", encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text("shares: {single: 0.7, broad: 0.3}")
    runner = CliRunner()
    assert runner.invoke(app, ["data", "sync", str(source)]).exit_code == 0
    dry = runner.invoke(app, ["sft", "build", "--out", "ds", "--mixture", str(mine), "--dry-run", "--json"])
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["train"] > 10
    assert not (tmp_path / "ds").exists()
    done = runner.invoke(app, ["sft", "build", "--out", "ds", "--mixture", str(mine), "--limit", "12"])
    assert done.exit_code == 0, done.output
    assert 0 < len((tmp_path / "ds" / "train.jsonl").read_text().splitlines()) <= 12

"""Which corrections stand, what is decided about them, and on which side each question lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data import corrections
from data.corrections import correct, load, newest, review, standing, take_back, use_of
from data.errors import ConfigError, CorrectionNotFoundError
from data.feedback import Feedback, Turn, append_feedback, read_feedback
from docduet import app

ONE = Feedback(question="How many are kept?", answer="Two.", correction="Three.", answer_id="ans_1", sources=("a.md",))
SIDE = ONE.model_copy(update={"choice": 1, "correction": "Three, always."})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.jsonl"


def changed(entry: Feedback, **fields: object) -> Feedback:
    return entry.model_copy(update=fields)


def test_the_last_line_of_an_answer_counts_and_each_side_has_its_own(path: Path) -> None:
    append_feedback(path, changed(ONE, correction="Four."))
    append_feedback(path, SIDE)
    append_feedback(path, ONE)
    by_hand = Feedback(question="Why?", answer="So.", correction="Because.")
    append_feedback(path, by_hand)
    append_feedback(path, by_hand)
    append_feedback(path, Feedback(question="Good?", answer="Yes.", answer_id="ans_2"))
    assert load(path) == [SIDE, ONE, by_hand, by_hand]
    assert load(path.with_name("none.jsonl")) == []


def test_what_is_taken_back_is_gone_and_its_tombstone_has_no_words(path: Path) -> None:
    take_back(path, ("ans_1", 0))
    assert not path.exists()
    correct(path, ONE, trusted=False)
    take_back(path, ("ans_1", 0))
    assert load(path) == []
    last = read_feedback(path)[-1]
    assert (last.withdrawn, last.answer, last.correction) == (True, "", "")
    take_back(path, ("ans_1", 0))
    assert len(read_feedback(path)) == 2
    correct(path, ONE, trusted=False)
    assert load(path) == [ONE]
    assert correct(path, changed(ONE, correction=" "), trusted=False) is None
    assert load(path) == []


def test_the_same_again_adds_nothing_and_an_edit_is_reviewed_again(path: Path) -> None:
    correct(path, ONE, trusted=False)
    correct(path, ONE, trusted=False)
    assert len(read_feedback(path)) == 1
    review(path, [("ans_1", 0)], lambda _: "promoted")
    assert correct(path, ONE, trusted=False) == changed(ONE, review="promoted")
    edited = changed(ONE, correction="Three of them.")
    assert correct(path, edited, trusted=False) == changed(edited, review="proposed")
    review(path, [("ans_1", 0)], lambda _: "promoted")
    assert correct(path, ONE, trusted=True) == changed(ONE, review="promoted")
    review(path, [("ans_1", 0)], lambda _: "rejected")
    assert correct(path, edited, trusted=False) == edited
    assert load(path) == [edited]


def test_who_may_promote() -> None:
    assert corrections.proposal(ONE, by_admin=True) == "promoted"
    assert corrections.proposal(ONE, by_admin=False) == "proposed"
    assert corrections.proposal(changed(ONE, review="rejected"), by_admin=False) == "rejected"
    assert corrections.proposal(changed(ONE, review="promoted"), by_admin=False) == "promoted"


def test_a_decision_about_nothing_is_told(path: Path) -> None:
    with pytest.raises(CorrectionNotFoundError, match="'ans_9' has no correction"):
        review(path, [("ans_9", 0)], lambda _: "promoted")
    append_feedback(path, ONE)
    with path.open("ab") as file:
        file.write(b"{}\n{}\n")
    with pytest.raises(ConfigError, match="line 2"):
        review(path, [("ans_1", 0)], lambda _: "promoted")


def test_a_question_lies_on_one_side_however_it_is_written() -> None:
    asked = [changed(ONE, question=f"How does option {n} work?", answer_id=f"ans_{n}") for n in range(600)]
    uses = [use_of(entry) for entry in asked]
    assert 150 < uses.count("eval") < 250
    again = [changed(entry, question=entry.question.upper().replace("?", " ？"), answer_id="x") for entry in asked]
    assert [use_of(entry) for entry in again] == uses
    follow = changed(asked[uses.index("eval")], history=(Turn(role="user", content="Hi"),))
    assert use_of(follow) == "sft"
    assert corrections.held_out([*asked, follow]) == [e.question for e in asked if use_of(e) == "eval"]
    assert use_of(changed(follow, history=(), answer_id="")) == "sft"


def test_only_what_is_promoted_is_used_and_the_newest_of_a_question() -> None:
    sft = next(e for n in range(99) if use_of(e := changed(ONE, question=f"Q{n}?", review="promoted")) == "sft")
    later = changed(sft, question=sft.question.lower(), answer_id="ans_7", correction="Better.")
    entries = standing([sft, changed(sft, answer_id="ans_5", review="proposed"), later])
    assert len(entries) == 3
    assert newest(entry for entry in entries if entry.review == "promoted") == [later]
    assert corrections.questions(entries) == []
    follow = changed(later, history=(Turn(role="user", content="Hi"),))
    assert newest([later, follow]) == [later, follow]


def test_what_was_asked_in_a_correction_to_train_on_is_no_evaluation_question_later() -> None:
    held = (e for n in range(99) if use_of(e := changed(ONE, question=f"Q{n}?", review="promoted")) == "eval")
    one, two, three = (changed(entry, answer_id=f"ans_{n}") for n, entry in zip(range(3), held, strict=False))
    turns = (Turn(role="user", content=two.question.lower()), Turn(role="assistant", content=three.question))
    follow = changed(one, answer_id="ans_9", history=turns, review="kept")
    assert corrections.questions([one, two, three]) == [one, two, three]
    assert corrections.questions([follow, one, two, three]) == [three]
    assert corrections.questions([one, two, three, follow]) == [one, two, three], "held out when it came"


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["data", "feedback", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_reviews(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCDUET_HOME", str(path.parent))
    assert run("list") == ""
    append_feedback(path, ONE)
    append_feedback(path, SIDE)
    assert run("promote", "ans_1:1").startswith("ans_1:1  promoted, for ")
    assert [(entry.choice, entry.review) for entry in load(path)] == [(0, "kept"), (1, "promoted")]
    run("reject", "--all")
    (rejected,) = json.loads(run("list", "--status", "rejected", "--json"))
    assert (rejected["answer_id"], rejected["choice"], rejected["use"]) == ("ans_1", 0, use_of(ONE))
    for wrong, told in ((["promote"], "--all"), (["promote", "ans_9"], "'ans_9'"), (["list", "--status", "x"], "kept")):
        failed = CliRunner().invoke(app, ["data", "feedback", *wrong])
        assert failed.exit_code != 0
        assert told in str(failed.exception)

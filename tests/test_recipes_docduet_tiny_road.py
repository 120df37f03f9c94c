"""docduet-tiny's road in one piece: tasks learned by heart come back word for word, here and from the exported folder;
flex attention in a compiled layer computes what the plain layer does, gradients included, and is compiled once."""

from __future__ import annotations

import importlib.util
import json
import lzma
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / "recipes" / "docduet-tiny"
SIZES = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 512, "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}  # fmt: skip
PORTS = {"gateway": 7860, "engine": 8000, "store": 5432}
ASKED = ("Where do browsers go?", "What is the engine's number?", "Who wrote the novel Emma?")
LARGER = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 64}  # so that 60 steps are enough


@pytest.fixture(autouse=True)
def _recipe_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(RECIPE))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(RECIPE)):
            del sys.modules[name]


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"tiny_{name[:2]}", RECIPE / name)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def tasks_in(folder: Path) -> list[dict[str, Any]]:
    folder.mkdir()
    said = {name: f"The {name} listens on port {port}." for name, port in PORTS.items()}
    passages = [{"id": n, "title": "Ports", "heading_path": [name], "text": said[name]} for n, name in enumerate(PORTS)]
    tasks = [
        {"passages": [n, (n + 1) % 3], "question": ASKED[n], "answer": f"{said[name]} [1]",
         "history": [], "lang": "en", "kind": "one", "split": "train"}
        for n, name in enumerate(PORTS)
    ]  # fmt: skip
    tasks[2]["answer"] = "I could not find this in the documentation."
    for name, lines in (("passages-01", passages), ("tasks-01", tasks)):
        with lzma.open(folder / f"{name}.jsonl.xz", "wt") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
    return tasks


def test_what_was_learned_by_heart_comes_back_word_for_word(tmp_path: Path) -> None:
    import torch
    from model import Body, losses, make
    from rows import TaskRows
    from settings import load
    from stages import _results
    from tokenised import messages_of, passages_of, prompt_of, samples
    from trainer import Machine, Schedule, Trainer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.tiny_qwen3 import tokenizer

    torch.set_num_threads(1)
    tasks, work = tasks_in(tmp_path / "tasks"), tmp_path / "work"
    passages = passages_of(tmp_path / "tasks")
    asked = [messages_of(task, passages) for task in tasks]
    words = tokenizer(
        [message["content"] for one in asked for message in one] + [task["answer"] for task in tasks], 600
    )
    words.save_pretrained(work / "tokenizer")
    made = samples(tmp_path / "tasks", work / "tokenizer", tmp_path / "cache", 384, 1)["train"]
    model = make(SIZES | LARGER, words, 1)
    stage = replace(
        load("smoke").read, row_tokens=384, step_rows=3, micro_rows=3, peak_lr=4e-3, heldout_rows=0, text_share=0.0
    )
    (work / "read").mkdir()
    machine = Machine("cpu", Body(model, False), losses, False, 3)
    rows = TaskRows(made, 384, words.pad_token_id, 0)
    learner = Trainer(model, stage, rows, [], work / "read", machine, "data")
    assert learner.run(Schedule(60, steps=60))
    _results(learner, "read", model, True)

    prompts = [words(prompt_of(one, words), add_special_tokens=False).input_ids for one in asked]
    prompts[0] = prompts[0][-40:]  # of other lengths: padded on the left
    said = script("06_score.py").answer(model.eval(), words, prompts, 40)
    assert [one["answer"] for one in said[1:]] == [task["answer"] for task in tasks[1:]]
    assert all(one["ended"] and one["confidence"] > -0.1 for one in said[1:])

    out = tmp_path / "docduet-tiny" / "base"
    script("07_export.py").export(work, out, {})
    exported: Any = AutoModelForCausalLM.from_pretrained(out)
    tokens: Any = AutoTokenizer.from_pretrained(out)
    for one, task in zip(asked, tasks, strict=True):
        given = tokens.apply_chat_template(
            one, add_generation_prompt=True, enable_thinking=False, return_tensors="pt", return_dict=True
        )
        ids = exported.generate(**given, max_new_tokens=40, do_sample=False)[0, given["input_ids"].shape[1] :]
        assert tokens.decode(ids, skip_special_tokens=True) == task["answer"]


def test_flex_attention_is_the_dense_mask_and_is_traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from model import Body, dense_mask, flex_mask, make, positions_of
    from torch._dynamo import reset
    from torch._dynamo.utils import counters
    from torch.nn.attention import flex_attention

    from tests.tiny_qwen3 import tokenizer

    # The CPU has no backward pass of its own for it; traced to plain operations it has the one kernels are held to.
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    monkeypatch.setattr(
        "model._block_mask", torch.compile(flex_attention.create_block_mask, backend="aot_eager", dynamic=False)
    )
    reset()
    counters.clear()
    words = tokenizer(["The gateway listens on port 7860 [1]."] * 10, 400)
    model = make({**SIZES, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16}, words, 3)
    dense, flex = Body(model, False), Body(model, True, {"backend": "aot_eager", "dynamic": False})
    for seed in range(2):
        torch.manual_seed(seed)
        docs = (torch.rand(2, 256) < 0.03).long().cumsum(1)
        ids = torch.randint(5, 250, docs.shape)
        wanted = dense(ids, positions_of(docs), dense_mask(docs))
        found = flex(ids, positions_of(docs), flex_mask(docs))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
        weights = [weight for name, weight in model.named_parameters() if ".layers." in name]
        pull = torch.randn_like(wanted)
        ours, theirs = (torch.autograd.grad((one * pull).sum(), weights) for one in (found, wanted))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-2, rtol=1e-3)
        assert counters["stats"]["unique_graphs"] == 2  # the mask and one layer, which all layers share


def test_rows_come_ready_in_their_order_and_errors_come_too() -> None:
    from feed import Feed
    from rows import TextRows

    stream = np.arange(5, 4005).astype(np.uint16)
    rows = TextRows(stream, 48, 0, 0)
    feed = Feed(rows, 4, 4, 2, pinned=False)
    steps = [feed.next() for _ in range(6)]
    feed.close()
    expected = TextRows(stream, 48, 0, 0).take(4, 24)
    assert [row for step in steps for part in step for row in part.ids.tolist()] == [
        row.ids[:-1].tolist() for row in expected
    ]

    class Broken:
        row_tokens = 48

        def take(self, first: int, count: int) -> Any:
            raise ValueError(f"row {first}")

    feed = Feed(Broken(), 4, 4, 2, pinned=False)
    with pytest.raises(ValueError, match="row 4"):
        feed.next()
    feed.close()


def test_parts_can_be_unpacked_as_they_come_and_the_sums_are_looked_at_when_all_are_there(tmp_path: Path) -> None:
    packed, work, out = tmp_path / "packed", tmp_path / "work", tmp_path / "out"
    for name in ("tokenizer", "shards", "tasks"):
        (packed / name).mkdir(parents=True)
        for n in range(3):
            noise = np.random.default_rng(n).bytes(20_000)
            data = lzma.compress(noise) if name == "tasks" else noise
            (packed / name / f"{name}-{n}{'.xz' * (name == 'tasks')}").write_bytes(data)
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "WORK": str(work), "OUT": str(tmp_path / "results")}
    subprocess.run([RECIPE / "pack.sh", packed, out], env=env | {"PART": "20K"}, check=True, capture_output=True)
    parts = sorted(out.glob("*/part.*"))
    assert len(parts) > 6
    for part in parts:
        said = subprocess.run([RECIPE / "run_on_gpu.sh", "unpack", part], env=env, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
        assert ("more parts are to come" in said.stdout) == (part != parts[-1])
    for path in packed.rglob("*-?"):
        assert (work / path.relative_to(packed)).read_bytes() == path.read_bytes()
    assert lzma.decompress((work / "tasks/tasks-1.xz").read_bytes()) == np.random.default_rng(1).bytes(20_000)


def test_numbers_of_a_stage_can_be_changed_from_the_command_line() -> None:
    from settings import changed, load

    stage = changed(load().pretrain, ["optimizer=muon", "minutes=1", "step_rows=32"])
    assert (stage.optimizer, stage.minutes, stage.step_rows) == ("muon", 1.0, 32)
    for wrong in ("color=red", "minutes"):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            changed(stage, [wrong])


def learner_in(folder: Path) -> Any:
    import torch
    from model import Body, losses, make
    from rows import TextRows
    from settings import load
    from trainer import Machine, Trainer

    from tests.tiny_qwen3 import tokenizer

    torch.set_num_threads(1)
    words = tokenizer(["The gateway listens on port 7860 [1]."] * 10, 400)
    model = make(SIZES, words, 1)
    stage = replace(load("smoke").pretrain, row_tokens=48, step_rows=2, micro_rows=2)
    stream = np.random.default_rng(1).integers(5, 90, 2000).astype(np.uint16)
    rows = TextRows(stream, 48, 0, 0)
    folder.mkdir()
    return Trainer(model, stage, rows, [], folder, Machine("cpu", Body(model, False), losses, False, 2), "data")


def test_a_way_of_computing_that_differs_is_not_taken(tmp_path: Path) -> None:
    from dataclasses import replace as other

    from stages import tried

    learner = learner_in(tmp_path / "a")
    plain, rows = learner.machine, learner.rows.take(0, 2)
    assert tried(plain, other(plain, micro_rows=1), learner.model, rows)["cosine"] > 0.9999

    def blind(ids: Any, positions: Any, mask: Any) -> Any:
        return plain.body(ids, positions * 0, mask) * 1.5

    with pytest.raises(ValueError, match="cosine"):
        tried(other(plain, body=blind), plain, learner.model, rows)


def test_a_second_slice_in_the_same_process_goes_on_with_the_next_rows(tmp_path: Path) -> None:
    from trainer import Schedule

    learner, taken = learner_in(tmp_path / "a"), []
    rows = learner.rows

    class Told:
        row_tokens = rows.row_tokens

        def take(self, first: int, count: int) -> Any:
            taken.append(first)
            return rows.take(first, count)

    learner.rows = Told()
    learner.run(Schedule(60, steps=2))
    taken.clear()
    learner.run(Schedule(60, steps=4))
    assert (learner.progress.step, taken[0]) == (4, 4)


def test_a_slice_that_breaks_off_leaves_what_it_had_saved(tmp_path: Path) -> None:
    from stages import _rescue
    from trainer import Schedule

    learner = learner_in(tmp_path / "a")
    learner.run(Schedule(60, steps=2))
    learner.progress.step = 9
    _rescue(learner, "pretrain")
    said = json.loads((tmp_path / "a" / "model" / "training.json").read_text())
    assert (said["step"], said["finished"]) == (2, False)
    assert (tmp_path / "a" / "model" / "model.safetensors").exists()

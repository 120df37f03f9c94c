"""docduet-tiny's training: the fast forward pass against transformers', packing, schedule, going on after a stop."""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / "recipes" / "docduet-tiny"
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512, "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _recipe_on_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(RECIPE))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:  # "model", "rows", "settings": common names that others may want
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(RECIPE)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tests.tiny_qwen3 import tokenizer

    return tokenizer(["The gateway listens on port 7860 [1]."] * 10, 400)


def stage(**changes: Any) -> Any:
    from dataclasses import replace

    from settings import load

    return replace(load("smoke").pretrain, **{"row_tokens": 48, "log_every": 1, "heldout_rows": 2, **changes})


def text_rows(seed: int = 0, size: int = 48) -> Any:
    from rows import TextRows

    rng = np.random.default_rng(1)
    stream = rng.integers(5, 90, 4000).astype(np.uint16)
    stream[rng.integers(0, 4000, 120)] = 0
    return TextRows(stream, size, 0, seed)


def trainer(folder: Path, tokenizer: Any, **changes: Any) -> Any:
    import torch
    from model import Body, losses, make
    from trainer import Machine, Trainer

    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a model only waits for a second one
    model, this = make(SIZES, tokenizer, 1), stage(**changes)
    machine = Machine("cpu", Body(model, False), losses, False, this.micro_rows)
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(model, this, text_rows(), text_rows(9).take(0, 2), folder, machine, "data")


def test_packed_documents_read_as_transformers_reads_each_alone(tokenizer: Any) -> None:
    import torch
    from model import Body, dense_mask, make, positions_of

    model = make(SIZES, tokenizer, 3).eval()
    ids = torch.randint(5, 250, (1, 40))
    docs = torch.tensor([[0] * 17 + [1] * 23])
    packed = Body(model, False)(ids, positions_of(docs), dense_mask(docs))
    with torch.no_grad():
        alone = [model.model(part).last_hidden_state for part in (ids[:, :17], ids[:, 17:])]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1), atol=1e-5, rtol=1e-5)


def test_a_row_of_text_never_looks_across_documents_nor_learns_a_new_one() -> None:
    import torch
    from model import positions_of

    for row in text_rows().take(0, 5):
        ends = row.ids[:-1] == 0
        assert np.array_equal(np.diff(row.docs), ends[:-1])
        assert not row.learn[ends].any()
        assert row.learn[~ends].all()
        positions = positions_of(torch.from_numpy(row.docs)[None])[0].numpy()
        assert (positions[1:][ends[:-1]] == 0).all()


def test_rows_are_a_function_of_their_number() -> None:
    whole = text_rows().take(0, 200)
    again = text_rows().take(150, 10)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(whole[150:160], again, strict=True))
    assert len({row.ids.tobytes() for row in whole[:80]}) > 75  # passes differ, and a pass repeats nothing


def test_packing_keeps_every_sample_whole_and_wastes_little() -> None:
    from rows import Samples, TaskRows, pack

    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 400, 3000)
    rows = pack(rng.permutation(3000), lengths, 512)
    assert sorted(index for row in rows for index in row) == list(range(3000))
    sizes = [sum(int(lengths[index]) for index in row) for row in rows]
    assert max(sizes) <= 512
    assert sum(sizes) / (512 * len(rows)) > 0.95

    starts = np.concatenate(([0], np.cumsum(lengths)))
    tokens = rng.integers(5, 90, int(starts[-1])).astype(np.uint16)
    tasks = TaskRows(Samples(tokens, starts, starts[1:] - 7), 512, 0, 4)
    tasks.take(0, 1)
    taken = tasks.take(0, tasks._firsts[1])  # one pass
    assert sum(int(row.learn.sum()) for row in taken) == 7 * 3000
    row = taken[0]
    for doc in range(int(row.docs.max())):
        (here,) = np.nonzero(row.docs == doc)
        answer = row.ids[here][-7:]
        assert np.array_equal(np.nonzero(row.learn[here])[0], np.arange(len(here) - 8, len(here) - 1))
        assert any(np.array_equal(answer, tokens[end - 7 : end]) for end in starts[1:])


def test_replay_is_as_large_a_share_as_was_asked_for() -> None:
    from rows import Mixed, Samples, TaskRows

    tasks = TaskRows(Samples(np.ones(40, np.uint16), np.array([0, 20, 40]), np.array([15, 35])), 48, 0, 0)
    rows = Mixed(tasks, text_rows(), 0.25).take(0, 100)
    assert sum(row.text for row in rows) == 25


def test_the_schedule_goes_up_stays_and_comes_down() -> None:
    this = stage(peak_lr=1.0, warmup=0.1, decay=0.5, floor=0.2)
    rates = [this.lr(place / 100) for place in range(101)]
    assert rates[0] < 0.02
    assert rates[10:51] == pytest.approx([1.0] * 41)
    assert rates[75] == pytest.approx(0.6)
    assert rates[100] == pytest.approx(0.2)


def test_the_last_slice_is_at_the_schedule_s_end_when_its_time_is_up() -> None:
    import time

    from trainer import Progress, Schedule

    spent, now = Progress(spent_s=800.0), time.monotonic()
    assert Schedule(1000, deadline=now + 5).at(spent) == pytest.approx(0.8)
    assert Schedule(1000, deadline=now + 800, finish=True).at(spent) == pytest.approx(0.5, abs=0.05)
    assert Schedule(1000, deadline=now, finish=True).at(spent) == 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_in_three_slices_is_the_run_in_one(tmp_path: Path, tokenizer: Any, optimizer: str) -> None:
    import torch
    from trainer import Schedule

    one = trainer(tmp_path / "one", tokenizer, optimizer=optimizer)
    assert one.run(Schedule(60, steps=9))
    for _ in range(3):
        part = trainer(tmp_path / "three", tokenizer, optimizer=optimizer)
        part.resume()
        done = part.progress.step + 3

        def stopping(lr: float, part: Any = part, done: int = done, step: Any = part.step) -> Any:
            part._stop = part.progress.step + 1 == done
            return step(lr)

        part.step = stopping
        part.run(Schedule(60, steps=9))
    assert part.progress.step == 9
    for mine, theirs in zip(part.model.parameters(), one.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    lines = [json.loads(line) for line in (tmp_path / "three" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "lr" in line] == list(range(1, 10))


def test_it_learns_and_sigterm_saves(tmp_path: Path, tokenizer: Any) -> None:
    import os
    import signal

    from trainer import Schedule

    run = trainer(tmp_path, tokenizer, peak_lr=0.02)
    run.run(Schedule(60, steps=40))
    losses = [json.loads(line).get("loss_text") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [loss for loss in losses if loss]
    assert losses[-1] < losses[0] - 0.5

    again = trainer(tmp_path, tokenizer)
    assert again.resume()
    step = again.step

    def signalled(lr: float) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return step(lr)

    again.step = signalled
    assert not again.run(Schedule(60, steps=80))
    third = trainer(tmp_path, tokenizer)
    third.resume()
    assert third.progress.step == 41


def test_other_data_and_a_loss_that_is_no_number_are_refused(tmp_path: Path, tokenizer: Any) -> None:
    import torch
    from trainer import Schedule, TrainingStopped

    run = trainer(tmp_path, tokenizer)
    run.run(Schedule(60, steps=1))
    run.data = "other"
    with pytest.raises(ValueError, match="other data"):
        run.resume()
    with torch.no_grad():
        run.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(TrainingStopped):
        run.run(Schedule(60, steps=5))
    kept = torch.load(tmp_path / "state.pt", weights_only=True)
    assert all(torch.isfinite(weight).all() for weight in kept["model"].values())


def test_tasks_become_the_very_prompt_that_the_gateway_sends(tmp_path: Path, tokenizer: Any) -> None:
    from tokenised import Passage, messages_of, prompt_of, samples

    from data.prompts import rag_messages

    passages = [
        {"id": f"p{n}", "title": "T", "heading_path": ["H", str(n)], "text": f"Port {n} is open."} for n in range(3)
    ]
    tasks = [
        {"passages": ["p2", "p0"], "question": "Which port?", "answer": "Port 2 is open. [1]", "lang": "en",
         "kind": "one", "split": split,
         "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello. [3]"}]}
        for split in ("train", "heldout", "train")
    ]  # fmt: skip
    tasks.append({**tasks[0], "question": "long " * 4000})
    for name, lines in (("passages-01", passages), ("tasks-01", tasks)):
        with lzma.open(tmp_path / f"{name}.jsonl.xz", "wt") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    made = samples(tmp_path, tmp_path / "tokenizer", tmp_path / "cache", 2048, 1)
    assert (len(made["train"]), len(made["heldout"])) == (2, 1)
    first = made["train"]
    prompt, answer = (
        tokenizer.decode(first.tokens[a:b]) for a, b in ((0, first.answers[0]), (first.answers[0], first.starts[1]))
    )
    shown = [Passage("T", ("H", "2"), "Port 2 is open."), Passage("T", ("H", "0"), "Port 0 is open.")]
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    expected = rag_messages("Which port?", shown, history)
    assert (
        messages_of(tasks[0], {f"p{n}": Passage("T", ("H", str(n)), f"Port {n} is open.") for n in range(3)})
        == expected
    )
    assert prompt == prompt_of(expected, tokenizer)
    assert prompt.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert answer == "Port 2 is open. [1]<|im_end|>"


def export_script() -> Any:
    import importlib.util

    spec = importlib.util.spec_from_file_location("export_of_tiny", RECIPE / "07_export.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_card_is_one_small_table_and_says_how_far_the_rate_came_down() -> None:
    script = export_script()
    fact = {"n": 1200, "f1": 0.904, "exact": 0.5, "citation_precision": 1.0, "citation_recall": 1 / 3}
    figures = {
        "all": fact | {"refusal_precision": 0.25, "refusal_recall": 1.0},
        "fact": fact | {"refusal_precision": 0.0},
    }
    figures |= {"fact-how": fact, "refusal": {"n": 3, "refusal_precision": 1.0, "refusal_recall": 2 / 3}}
    head, _, *rows = script.table(figures).splitlines()
    assert head.count("|") == 9
    assert rows == [
        "| all | 1,200 | 0.90 | 0.50 | 1.00 | 0.33 | 0.25 | 1.00 |",
        "| fact | 1,200 | 0.90 | 0.50 | 1.00 | 0.33 | – | – |",
        "| refusal | 3 | – | – | – | – | – | 0.67 |",
    ]
    log = "".join(json.dumps(row) + "\n" for row in ({"lr": 1e-3}, {"lr": 8e-6}, {"heldout_loss": 0.05}))
    assert script.last_rate(log, 1e-3) == pytest.approx(0.008)


def test_an_adapter_is_bundled_with_the_base_beside_it(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from data.checkpoints import Manifest, read_manifest, write_manifest

    script = export_script()
    exported, out = tmp_path / "export", tmp_path / "docduet-tiny" / "adapter"
    exported.mkdir()
    (exported / "tokenizer.json").write_bytes(b"{}")
    save_file({"lora_A": torch.tensor([[1.0, 1 / 3]])}, exported / "adapter_model.safetensors")
    config = {"r": 8, "lora_alpha": 16.0, "target_modules": ["q_proj"], "base_model_name_or_path": "/here/model"}
    (exported / "adapter_config.json").write_text(json.dumps(config))
    (out.parent / "base").mkdir(parents=True)
    (out.parent / "base" / "model.safetensors").write_bytes(b"weights")
    pages = {"en/a.md": "hash"}
    manifest = Manifest(
        kind="adapter", base_model="/here/model", system_prompt={}, pages=pages, dataset="/here/set", argv=("/here/x",),
        recipe="docduet-tiny", step=1764,
    )  # fmt: skip
    write_manifest(exported, manifest)
    script.bundle(exported, out, "It recalls 5 %.")
    told = (out / "README.md").read_text()
    assert "1,764 steps by `docduet sft train --recipe docduet-tiny`" in told
    assert script.digest(out.parent / "base" / "model.safetensors") in told
    assert "It recalls 5 %." in told
    kept = read_manifest(out)
    assert kept.base_model == str(tmp_path / "docduet-tiny" / "base")
    assert (kept.pages, kept.dataset) == (pages, "set")
    assert set(kept.files) == {"adapter_model.safetensors", "adapter_config.json"}
    halved = load_file(out / "adapter_model.safetensors")["lora_A"]
    assert torch.equal(halved, torch.tensor([[1.0, 1 / 3]], dtype=torch.bfloat16))
    assert not any(b"/here" in path.read_bytes() for path in out.iterdir())
    assert script.differences(out / "SHA256SUMS") == []


def test_a_limit_of_certainty_is_chosen_by_what_it_would_show() -> None:
    from sure import limits

    told = [(-0.1, 1.0), (-0.2, 0.9), (-0.9, 0.1), (-2.0, 0.0)]
    first, last = limits(told, (-0.5, -3.0))
    assert first == pytest.approx((-0.5, 0.5, 0.95, 0.05))
    assert last[:3] == pytest.approx((-3.0, 0.0, 0.5))


def tasks_in(folder: Path) -> None:
    folder.mkdir()
    said = [f"The gateway listens on port {n}." for n in range(40)]
    passages = [{"id": n, "title": "Gateway", "heading_path": [f"Part {n}"], "text": said[n]} for n in range(40)]
    common = {"history": [], "lang": "en", "kind": "one"}
    tasks = [
        {"passages": [n, (n + 1) % 40], "question": f"Which port has part {n}?", "answer": f"{said[n]} [1]", **common}
        | {"split": "heldout" if n % 8 == 0 else "train"}
        for n in range(40)
    ]
    for name, lines in (("passages-01", passages), ("tasks-01", tasks)):
        with lzma.open(folder / f"{name}.jsonl.xz", "wt") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.mark.real
@pytest.mark.timeout(600)
def test_the_whole_road_on_a_cpu(tmp_path: Path, tokenizer: Any) -> None:
    import subprocess

    from shards import write_shards

    work, out = tmp_path / "work", tmp_path / "out"
    tokenizer.save_pretrained(work / "tokenizer")
    tasks_in(work / "tasks")
    text = tokenizer(
        "The gateway listens on port 7860 and cites its sources. " * 30, add_special_tokens=False
    ).input_ids
    for split in ("train", "heldout"):
        write_shards(work / "shards", split, [np.array(text)] * 20, tokenizer.pad_token_id)

    env = {
        "WORK": str(work),
        "OUT": str(out),
        "PRESET": "smoke",
        "DEVICE": "cpu",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    slices = ((3, "pretrain 5"), (6, "pretrain 5"), (4, "read 5"), (3, "people 5"), (5, "finish 5 people"))
    for steps, what in slices:
        said = subprocess.run(
            [RECIPE / "run_on_gpu.sh", *what.split()], env=env | {"STEPS": str(steps)}, capture_output=True, text=True
        )
        assert said.returncode == 0, said.stdout + said.stderr
        files = sorted(out.iterdir())
        assert len(files) <= 8
        assert max(path.stat().st_size for path in files) < 16 * 2**20
        assert f'"step": {steps}' in said.stdout
    env |= {"PYTHONPATH": str(RECIPE.parents[1])}
    answers = tmp_path / "answers.jsonl"
    for script, *further in (
        ("06_score.py", "--work", work, "--device", "cpu", "--tokens", "8", "--out", answers),
        ("07_export.py", "--work", work, "--out", tmp_path / "docduet-tiny" / "base"),
        ("07_export.py", "--check", tmp_path / "docduet-tiny"),
    ):
        argv = [sys.executable, RECIPE / script, *further]
        said = subprocess.run(argv, env=env, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout + said.stderr
    told = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(told) == 5
    assert all(answer["confidence"] < 0 for answer in told)
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert [answer["task"] for answer in told] == list(range(5))
    assert {task["split"] for task in asked} == {"heldout"}

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "docduet-tiny" / "base"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.rope_parameters["rope_theta"] == 10000.0
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()
    (folder / "model.safetensors").write_bytes(b"other")
    said = subprocess.run(
        [sys.executable, RECIPE / "07_export.py", "--check", folder], env=env, capture_output=True, text=True
    )
    assert said.returncode == 1
    assert "model.safetensors" in said.stderr

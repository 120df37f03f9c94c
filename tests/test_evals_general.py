"""`docduet eval general`: probes asked of a real gateway with a scripted engine, resuming, statistics, the command."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.errors import BusyError, EngineError, GatewayError
from data.prompts import Message
from docduet import app
from evals.general.asking import NEUTRAL, OWN, Asking
from evals.general.paired import Difference, differences
from evals.general.probes import Probe, digest, load_probes
from evals.general.results import GeneralRun, going_on
from evals.general.run import begin, run_probes
from serving.engines.delta import EngineDelta
from tests.client_gateway import index_handbook, scripted_gateway
from tests.fakes import ScriptedEngine

PROBES = load_probes()
BY_PROMPT = {probe.prompt: probe for probe in PROBES}


class Pupil(ScriptedEngine):
    """An engine that answers probes rightly, but those of the tasks ``forgot``; breaks down after ``stamina``."""

    def __init__(self, name: str, forgot: Sequence[str] = (), stamina: int = 10_000) -> None:
        super().__init__(name=name)
        self.forgot = forgot
        self.stamina = stamina
        self.params: list[dict[str, Any]] = []

    async def chat(self, messages: Sequence[Message], **params: Any) -> AsyncGenerator[EngineDelta, None]:
        self.asked.append(messages)
        self.params.append(params)
        if len(self.asked) > self.stamina:
            raise EngineError("the engine is out of memory")
        probe = BY_PROMPT[messages[-1]["content"]]
        said = probe.wrong[0] if probe.task in self.forgot else probe.right[0]
        yield EngineDelta(text=said, reasoning="", finish_reason="stop", usage=None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return index_handbook(tmp_path_factory.mktemp("home"))


def finished(folder: Path) -> list[Path]:
    return list(folder.glob("*.json"))


def ask(url: str, folder: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["eval", "general", "--gateway", url, *options], env={"DOCDUET_HOME": str(folder)}, catch_exceptions=True
    )
    return done.exit_code, done.output if not done.exception or done.exit_code == 0 else repr(done.exception)


def test_what_was_forgotten_shows(home: Any, tmp_path: Path) -> None:
    base, sft = Pupil("base"), Pupil("sft", forgot=("arithmetic", "code"))
    with scripted_gateway(home, base, sft, verify=()) as url:
        code, said = ask(url, tmp_path, "--json", "--label", "step 200", "--limit", "6")
    assert code == 0, said
    told = json.loads(said)
    assert told["arms"]["base"]["arithmetic"] == {"score": 1.0, "of": 6, "right": 6}
    assert told["arms"]["sft"]["arithmetic"] == {"score": 0.0, "of": 6, "right": 0}
    assert {task: found["score"] for task, found in told["arms"]["sft"].items()}["reading"] == 1.0
    total = told["differences"][0]
    assert (total["task"], total["gained"], total["lost"], total["of"]) == ("all", 0, 12, 14 * 6)
    assert total["low"] < total["delta"] == -12 / 84 < total["high"] < 0
    assert total["p"] == pytest.approx(2 * 0.5**12)
    saved = GeneralRun.model_validate_json(Path(told["run"]).read_bytes())
    assert saved.finished
    assert saved.label == "step 200"
    assert len(saved.answers) == 2 * 84
    assert list((tmp_path / "evals" / "general").glob("*.json")) == [Path(told["run"])]
    assert not list((tmp_path / "evals" / "general" / "unfinished").iterdir())


def test_both_models_read_the_same_neutral_words_and_answer_greedily(home: Any, tmp_path: Path) -> None:
    base, sft = Pupil("base"), Pupil("sft")
    with scripted_gateway(home, base, sft, sft_system_prompt="You are the Widget expert.") as url:
        assert ask(url, tmp_path, "--tasks", "reading", "--limit", "2")[0] == 0
        assert sorted(map(str, base.asked)) == sorted(map(str, sft.asked))
        assert {messages[0]["content"] for messages in sft.asked} == set(NEUTRAL.values())
        assert {len(messages) for messages in sft.asked} == {2}
        assert {params["temperature"] for params in sft.params} == {0}
        assert {params["max_tokens"] for params in sft.params} == {48}
        assert ask(url, tmp_path, "--tasks", "reading", "--limit", "1", "--system", OWN)[0] == 0
        assert sft.asked[-1][0]["content"] == "You are the Widget expert."
        assert base.asked[-1][0]["content"] != sft.asked[-1][0]["content"]


async def test_a_run_that_broke_off_goes_on(home: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.general.asking.TRIES", 1)
    probes = load_probes(["arithmetic", "reading"])
    base = Pupil("base", stamina=23)
    with scripted_gateway(home, base) as url:
        async with Asking(url) as asking:
            with pytest.raises(GatewayError, match="kept: run it again"):
                await run_probes(asking, probes, ["base"], tmp_path, {}, concurrency=1)
            assert not finished(tmp_path)
            base.stamina, before = 10_000, len(base.asked)
            run, path = await run_probes(asking, probes, ["base"], tmp_path, {}, concurrency=1)
            assert len(base.asked) - before == len(probes) - 23
            assert len(run.answers) == len(probes)
            assert path.parent == tmp_path
            await run_probes(asking, probes, ["base"], tmp_path, {})  # finished: nothing to go on with
            assert len(base.asked) - before == 2 * len(probes) - 23


async def test_the_same_items_are_not_asked_twice_at_once(home: Any, tmp_path: Path) -> None:
    """The second would write the first one's file; another run goes on beside it, in a file of its own."""
    probes = load_probes(["reading"], 4)
    with scripted_gateway(home, Pupil("base")) as url:
        async with Asking(url) as asking:
            with going_on(begin("probes", "", asked_of(probes), {}), tmp_path, resume=True):
                with pytest.raises(BusyError, match="in another process"):
                    await run_probes(asking, probes, ["base"], tmp_path, {})
                _, other = await run_probes(asking, probes, ["base"], tmp_path, {}, label="other")
            _, path = await run_probes(asking, probes, ["base"], tmp_path, {})
    assert path != other
    assert not list((tmp_path / "unfinished").iterdir())


def asked_of(probes: Sequence[Probe]) -> dict[str, object]:
    return {"arms": ["base"], "items_sha256": digest(probes)}


def test_a_voice_that_is_not_there_is_named_and_no_gateway_is_told(home: Any, tmp_path: Path) -> None:
    with scripted_gateway(home, Pupil("base")) as url:
        assert "no voice 'sft'" in ask(url, tmp_path)[1]
    assert "docduet serve" in ask("http://127.0.0.1:9", tmp_path)[1]
    assert "no probes 'alchemy'" in ask("http://127.0.0.1:9", tmp_path, "--tasks", "alchemy")[1]
    assert "no address" in ask("gateway", tmp_path)[1]
    assert "name each voice once" in ask("http://127.0.0.1:9", tmp_path, "--arms", "base,base")[1]


def test_the_table_names_tasks_and_says_what_is_proven(home: Any, tmp_path: Path) -> None:
    with scripted_gateway(home, Pupil("base"), Pupil("sft", forgot=("code",)), verify=()) as url:
        said = ask(url, tmp_path, "--tasks", "code,reading", "--limit", "6")[1]
        assert "sft is worse than base" in said
        assert "6/6 100%" in said
        assert "0/6 0%" in said
        assert "no difference is proven" in ask(url, tmp_path, "--tasks", "reading", "--limit", "1")[1]


def test_differences_are_mcnemars_and_hold_in_simulation() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    draw = random.Random(3)
    holds = 0
    for _ in range(100):
        before = {str(n): draw.random() < 0.6 for n in range(150)}
        after = {item: (draw.random() < 0.85) if right else (draw.random() < 0.1) for item, right in before.items()}
        truth = 0.6 * 0.85 + 0.4 * 0.1 - 0.6
        total, task = differences("a", "b", {"a": {"t": before}, "b": {"t": after}})
        both = sum(after[item] for item, right in before.items() if right)
        neither = 150 - both - total.gained - total.lost
        peer = mcnemar([[both, total.lost], [total.gained, neither]], exact=True)
        assert total.p == pytest.approx(peer.pvalue)
        assert task.p == total.p
        holds += total.low <= truth <= total.high
    assert 88 <= holds <= 99


def test_few_items_prove_nothing_and_a_verdict_needs_test_and_interval() -> None:
    def total(gained: int, lost: int, of: int) -> Difference:
        before = {str(n): n < lost for n in range(of)}
        after = {str(n): lost <= n < lost + gained for n in range(of)}
        return differences("a", "b", {"a": {"t": before}, "b": {"t": after}})[0]

    one = total(1, 0, 1)
    assert (one.low, one.high, one.verdict) == (pytest.approx(2 * 0.025 - 1), 1.0, "open")
    assert [total(*counts, 60).verdict for counts in ((9, 1), (1, 9), (5, 1), (0, 0))] == [
        "gained",
        "lost",
        "open",
        "open",
    ]
    assert total(5, 0, 60).low > 0  # the interval alone would call it proven
    assert total(5, 0, 60).verdict == "open"
    assert total(12, 0, 12).verdict == "gained"


def test_no_change_leaves_room_for_one_and_unmatched_items_do_not_count() -> None:
    same = {str(n): n % 2 == 0 for n in range(40)}
    total = differences("a", "b", {"a": {"t": same | {"x": True}}, "b": {"t": same, "u": {"y": True}}})[0]
    assert (total.of, total.delta, total.p) == (40, 0.0, 1.0)
    assert total.low == -total.high < -0.05
    assert differences("a", "b", {"a": {"t": {}}, "b": {"t": {}}}) == []


def test_probes_of_a_probe_are_its_own() -> None:
    assert all(isinstance(probe, Probe) for probe in BY_PROMPT.values())
    assert len(BY_PROMPT) == len(PROBES)

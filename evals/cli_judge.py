"""`docduet eval judge`: let a model judge the answers of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from evals.model import Model


Url = Annotated[
    str,
    typer.Option(
        "--judge-url", envvar="DOCDUET_JUDGE_URL", metavar="URL", help="The judge: an OpenAI-compatible server, /v1."
    ),
]
Name = Annotated[
    str, typer.Option("--judge-model", envvar="DOCDUET_JUDGE_MODEL", help="Its model; default: the only one it has.")
]
KeyEnv = Annotated[
    str, typer.Option("--judge-key-env", metavar="VAR", help="Environment variable that holds the judge's key.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Calls to the judge at the same time.")]


def judge(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="A run's file or name; default: the newest.")] = "",
    arms: Annotated[str, typer.Option(help="Voices to judge and compare, with commas between; default: all.")] = "",
    judge_url: Url = "",
    judge_model: Name = "",
    judge_key_env: KeyEnv = "",
    set_name: Annotated[
        str, typer.Option("--set", metavar="SET", help="The run's question set; default: the one it names.")
    ] = "",
    concurrency: Concurrency = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Let a model judge a run: are answers true to the pages, do they state the facts, which of two is better.

    Each pair of answers is shown in both orders; where the verdict follows the order, it is a tie. Verdicts are kept as
    they come: after Ctrl-C or a crash the same command goes on where it was. They are saved in
    DOCDUET_HOME/evals/judged, the measures in the run itself.

    Examples:

        docduet eval judge --judge-url http://127.0.0.1:8000/v1

        docduet eval judge handbook-20261126T050000Z --arms rag,sft --judge-url https://models.example.com/v1
        --judge-model big --judge-key-env JUDGE_KEY --json
    """
    from evals.judge.run import Plan, find_run, judge_run
    from evals.judge.show import as_dict, print_judged
    from evals.progress import progress

    settings: Settings = ctx.obj
    model = judge_of(settings, judge_url, judge_model, judge_key_env, concurrency)
    wanted = tuple(dict.fromkeys(arm for part in arms.split(",") if (arm := part.strip())))
    plan = Plan(find_run(settings.home.evals, run), wanted, set_name)
    try:
        with progress() as told:
            judged, path = judge_run(plan, model, settings.home, told)
    except KeyboardInterrupt:
        typer.echo("Stopped. What was judged is kept: the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json.dumps(as_dict(judged, path), ensure_ascii=False, indent=2))
    else:
        print_judged(judged, path)


def judge_of(settings: Any, url: str, name: str, key_env: str, concurrency: int) -> Model:
    """The judge that the options name. Raises ConfigError where they name none."""
    from data.chat.client import Role
    from data.errors import ConfigError
    from evals.model import Model, key_in

    if not url:
        raise ConfigError(
            "no judge: give the address of an OpenAI-compatible server with --judge-url http://HOST:PORT/v1, or in "
            "DOCDUET_JUDGE_URL (a model larger than the one that is judged)"
        )
    role = Role("judge", "--judge-url", "--judge-model", "--judge-key-env")
    key = key_in(key_env, "--judge-key-env")
    return Model(url, name, key, settings.home.cache / "judge.sqlite", role, concurrency)

"""`docduet eval report`: what votes and evaluation runs prove, in the terminal or as a file.

Reads the database of the configuration; with --url it asks a running gateway, whose key it needs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from evals.report.inputs import Filters
    from evals.report.results import Pair, Report


def report(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print every number as a line of CSV.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one HTML file.")] = None,
    png: Annotated[Path | None, typer.Option(metavar="DIR", help="Write its charts into this folder.")] = None,
    since: Annotated[str, typer.Option(help="Only since then: 30d, 12h, or a day such as 2026-11-01.")] = "",
    lang: Annotated[str, typer.Option(help="Only questions in this language, such as en or zh.")] = "",
    product: Annotated[str, typer.Option(help="Only about this product.")] = "",
    arms: Annotated[str, typer.Option(help="Only these voices, with commas between: rag,sft.")] = "",
    min_votes: Annotated[int, typer.Option(min=1, help="Leave out pairs and topics with fewer votes.")] = 1,
    words: Annotated[str, typer.Option(help="Language of the report itself: en or zh.")] = "en",
    url: Annotated[str, typer.Option(help="Ask this running gateway instead of reading the database.")] = "",
    key: Annotated[str, typer.Option(envvar="DOCDUET_API_KEY", help="Your key, where the gateway asks for one.")] = "",
) -> None:
    """What the votes prove and do not prove yet, which voice is better at what, how fast, and how often it refuses.

    Examples:

        docduet eval report

        docduet eval report --since 30d --html report.html --png charts/

        docduet eval report --url https://docs-chat.example.com --json
    """
    from evals.report import chart, table
    from evals.report import html as pages

    _check_words(words)
    query = {"since": since, "lang": lang, "product": product, "arms": arms, "min_votes": min_votes}
    made = _asked(url, key, query) if url else _read(ctx.obj, _filters(query))
    if html:
        _write(html, pages.page(made, words).encode())
    for name in chart.NAMES if png else ():
        assert png
        _write(png / f"{name}.png", chart.png(made, name, words))
    if as_json:
        typer.echo(json.dumps(made.as_dict(), ensure_ascii=False, indent=2))
    elif as_csv:
        typer.echo(table.as_csv(made), nl=False)
    else:
        show(made, words)


def _check_words(words: str) -> None:
    from data.errors import ConfigError
    from evals.report.words import LANGUAGES

    if words not in LANGUAGES:
        raise ConfigError(f"--words {words!r} is not known: choose from {', '.join(LANGUAGES)}")


def _filters(query: dict[str, Any]) -> Filters:
    from evals.report.inputs import Filters
    from evals.report.since import since

    arms = tuple(arm for part in query["arms"].split(",") if (arm := part.strip()))
    return Filters(**(query | {"since": since(query["since"]), "arms": arms}))


def _read(settings: Settings, filters: Filters) -> Report:
    """From the database. StoreError where it cannot be used."""
    from evals.report.build import build
    from evals.runs import read_runs
    from serving.config import ServingConfig
    from serving.report.rows import read
    from serving.store.database import Store, database_url

    store = Store.open(database_url(settings.table(ServingConfig).database, settings.home))
    try:
        with store.reading() as db:
            inputs = read(db, filters)
    finally:
        store.close()
    return build(inputs, *read_runs(settings.home.evals))


def _asked(url: str, key: str, query: dict[str, Any]) -> Report:
    """From a gateway. GatewayError where it gives none."""
    import httpx

    from data.errors import GatewayError
    from evals.report.results import from_dict

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.get(f"{url.rstrip('/')}/v1/report", params=query, headers=headers, timeout=60)
        body = response.json()
        if response.is_error:
            raise GatewayError(str(body["error"]["message"]))
        return from_dict(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise GatewayError(f"the gateway at {url} cannot be asked: {error}; check --url, or leave it out") from None
    except (ValueError, KeyError, TypeError):
        raise GatewayError(f"{url} does not answer like a DocDuet gateway of this version") from None


def _write(path: Path, content: bytes) -> None:
    from data.errors import ConfigError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    typer.echo(f"wrote {path}", err=True)


def show(made: Report, lang: str) -> None:
    """The sentence, a table of pairs and one of voices."""
    from rich.console import Console
    from rich.table import Table

    from evals.report.words import Words

    words, console = Words(lang), Console(width=None if Console().is_terminal else 120, highlight=False)
    console.print(made.sentence[lang], markup=False)
    if made.pairs:
        pairs = Table("", *(words(f"slice.{name}") for name in ("votes", "ties", "both_bad")), *_heads(words))
        for pair in made.pairs:
            pairs.add_row(*_pair(pair, words))
        console.print(pairs)
    if made.voices:
        voices = Table(*(words(name) for name in ("voice", "answers", "refused", "thumbs", "first_ms", "total_ms")))
        for voice in made.voices:
            times = [words.time(spread.p50) if spread else "–" for spread in (voice.first_ms, voice.total_ms)]
            name, thumbs = words.named("voice", voice.arm), f"{voice.up} / {voice.down}"
            voices.add_row(name, f"{voice.answers:,}", words.percent(voice.refused.value), thumbs, *times)
        console.print(voices)
    for problem in made.problems:
        console.print(problem, style="yellow", markup=False)


def _heads(words: Any) -> list[str]:
    return [words(f"fact.{name}") for name in ("win_rate", "by_user", "sign", "needed")]


def _pair(pair: Pair, words: Any) -> list[str]:
    first, second = (words.named("voice", arm) for arm in pair.arms)
    counts, users, rate = pair.counts, pair.by_user, pair.counts.win_rate
    return [
        words("versus", first=first, second=second),
        *(f"{count:,}" for count in (counts.votes, counts.ties, counts.both_bad)),
        f"{words.percent(rate.value)} ({words.percent(rate.low)} – {words.percent(rate.high)})",
        f"{words.percent(users.low)} – {words.percent(users.high)}" if users else "–",
        words.p_value(counts.p),
        f"{pair.needed.total:,}",
    ]

"""`docduet keys`: make, list and revoke the keys that people and programs ask the gateway with."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from data.settings import Settings
    from serving.access.keys import KeyRecord
    from serving.store.database import Store

app = typer.Typer(
    help="Keys for people and programs that ask the gateway.", no_args_is_help=True, rich_markup_mode="markdown"
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ROLES = ("staff", "admin", "service")


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is: keys of one name share conversations and votes.")],
    role: Annotated[
        str, typer.Option(help="staff (people), service (programs), or admin (also /v1/admin and /metrics).")
    ] = "staff",
    requests_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Requests in a minute; default from [serving], 0: any number.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Tokens in a minute, prompts and answers; 0: any number.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(min=0, help="Answers at the same time; default from [serving], 0: any number.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, once: only its hash is kept.

    Examples:

        docduet keys create anna

        docduet keys create operations --role admin

        docduet keys create helpdesk --role service --requests-per-minute 600 --json
    """
    from data.errors import ConfigError
    from serving.access import keys

    name = name.strip()
    if not name or not name.isprintable() or len(name) > 100:
        raise ConfigError("a key needs a name of at most 100 printable characters, such as anna or helpdesk")
    if role not in ROLES:
        raise ConfigError(f"unknown role {role!r}: choose one of {', '.join(ROLES)}")
    asked = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "concurrent": concurrent,
    }
    limits = {limit: value for limit, value in asked.items() if value is not None}
    with _store(ctx) as store, store.writing() as db:
        record, secret = keys.create(db, name, role, limits)  # type: ignore[arg-type]
    if as_json:
        typer.echo(json.dumps(record.public() | {"key": secret}, ensure_ascii=False, indent=2))
        return
    typer.echo(secret)
    typer.echo(f"Key {record.id} for {name!r}, role {role}. It is not shown again: keep it now.", err=True)


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """List the keys, without their secrets.

    Examples:

        docduet keys list

        docduet keys list --json
    """
    from serving.access import keys

    with _store(ctx) as store, store.reading() as db:
        found = keys.everything(db)
    if as_json:
        typer.echo(json.dumps([record.public() for record in found], ensure_ascii=False, indent=2))
        return
    if not found:
        typer.echo("No keys yet: make one with `docduet keys create NAME`.", err=True)
    for record in found:
        typer.echo(_line(record))


@app.command()
def revoke(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="ID|NAME", help="A key's id, or a name: then all keys of it, and all sessions of single sign-on."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Revoke a key, or sign somebody out who came by single sign-on (the gateway's log names the users).

    Running gateways refuse it after two seconds; an answer that is under way comes to its end.

    Examples:

        docduet keys revoke 3f9a1c07b2d4

        docduet keys revoke anna

        docduet keys revoke oidc:5f1c09ab:anna
    """
    from serving.access import keys, sessions

    with _store(ctx) as store, store.writing() as db:
        ended = sessions.end_of(db, which)
        revoked = keys.revoke(db, which, needed=not ended)
    if as_json:
        typer.echo(json.dumps([record.public() for record in revoked], ensure_ascii=False, indent=2))
        return
    for record in revoked:
        typer.echo(f"Revoked key {record.id} of {record.name!r}.")
    if ended:
        typer.echo(f"Ended {ended} session{'s' * (ended > 1)} of {which!r}.")


@contextmanager
def _store(ctx: typer.Context) -> Iterator[Store]:
    from serving.config import ServingConfig
    from serving.store.database import Store, database_url

    settings: Settings = ctx.obj
    store = Store.open(database_url(settings.table(ServingConfig).database, settings.home))
    try:
        yield store
    finally:
        store.close()


def _line(record: KeyRecord) -> str:
    """One key in one line."""
    state = f"revoked {_day(record.revoked_at)}" if record.revoked_at else f"last used {_day(record.last_used_at)}"
    limits = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record.limits.items())
    parts = [record.id, f"{record.name:<20}", f"{record.role:<7}", f"made {_day(record.created_at)}", state, limits]
    return "  ".join(part for part in parts if part)


def _day(when: float | None) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(when)) if when else "never"

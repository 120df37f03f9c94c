"""A gateway that others can reach does not start without keys, unless it is told to."""

from __future__ import annotations

from data.errors import ConfigError
from serving.access import keys
from serving.access.doors import is_loopback
from serving.config import ServingConfig
from serving.store.database import Store


def check_reach(config: ServingConfig, database: str) -> None:
    """ConfigError when ``config`` asks to listen where others are, there is no single sign-on and the database (a URL)
    holds no valid key."""
    if is_loopback(config.host) or config.require_keys == "never" or config.oidc.issuer:
        return
    store = Store.open(database)
    try:
        with store.reading() as db:
            if any(record.revoked_at is None for record in keys.everything(db)):
                return
    finally:
        store.close()
    raise ConfigError(
        f"{config.host} can be reached by others and there are no keys: make one with "
        "`docduet keys create NAME --role admin`, or let everybody in with --insecure-open"
    )

"""A connection to the database, and its tables brought up to date. SQLite and PostgreSQL by URL.

    store = Store.open("sqlite:////home/me/.docduet/docduet.sqlite")
    with store.writing() as db: ...        # a transaction; blocks, so in a thread
    await store.run(function, *arguments)  # function(db, *arguments) in a transaction, in a thread of the store's own

The threads are the store's own, so that a database that hangs holds up nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from data.errors import ConfigError, StoreError
from data.home import Home
from serving.store.threads import DaemonThreads

log = logging.getLogger(__name__)
T = TypeVar("T")

HEAD = "0005"
"""The newest migration."""

BUSY_S = 5.0
"""How long a writer waits for another one (SQLite), or a statement may take (PostgreSQL), in seconds."""

GIVE_UP_S = 15.0
"""Who waits for the database is told so after this many seconds."""

THREADS = 4
_LOCK = 0x646F6364  # of PostgreSQL's advisory locks: "docd"
_WRITES = "docduet_writes"
REMEDY = "check that it runs and lets this user in, or name another `database` in [serving]"


class Store:
    """One per process. Thread-safe. Every statement may raise sqlalchemy.exc.SQLAlchemyError; ``run`` StoreError."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = DaemonThreads(THREADS, "store")

    @classmethod
    def open(cls, url: str) -> Store:
        """Connect, and make or upgrade the tables; several processes may do so at the same time.

        Raises ConfigError (a wrong URL, no driver) or StoreError (no database there, or one of a newer DocDuet).
        """
        store = cls(_engine(url))
        try:
            store._upgrade()
        except DBAPIError as error:
            store.close()
            shown = store.engine.url.render_as_string(hide_password=True)
            raise StoreError(f"the database {shown} cannot be used: {reason(error)}: {REMEDY}") from None
        except StoreError:
            store.close()
            raise
        return store

    def close(self) -> None:
        self._threads.close()
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that writes; SQLite lets one writer in at a time. Committed at the end."""
        engine = self.engine.execution_options(**{_WRITES: True})
        with Session(engine, expire_on_commit=False) as db, db.begin():
            yield db

    async def run(self, function: Callable[..., T], *arguments: Any, writes: bool = True) -> T:
        """``function(db, *arguments)`` in a transaction, outside the event loop. StoreError when the database fails."""

        def work() -> T:
            with self.writing() if writes else self.reading() as db:
                return function(db, *arguments)

        try:
            async with asyncio.timeout(GIVE_UP_S):
                return await asyncio.wrap_future(self._threads.submit(work))
        except TimeoutError:
            raise StoreError("the database does not answer just now: try again") from None
        except SQLAlchemyError as error:
            log.warning("the database cannot be used just now: %s", reason(error))  # where it is, clients need not know
            raise StoreError("the database cannot be used just now: try again soon") from error

    def _upgrade(self) -> None:
        with self._first() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))  # a migration of much takes its time,
                connection.execute(text("SET LOCAL lock_timeout = 0"))  # and others wait for it
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            current = _revision(connection)
            if current != HEAD:
                migrate(connection, current)

    def _first(self) -> Connection:
        """The first connection. Switching a new SQLite file to WAL does not wait for others who do the same: we do."""
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                return self.engine.connect().execution_options(**{_WRITES: True})
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def migrate(connection: Connection, current: str = "") -> None:
    """Bring the tables from revision ``current`` ("": none yet) to HEAD, in the transaction of ``connection``."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    if current and current not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        shown = connection.engine.url.render_as_string(hide_password=True)
        raise StoreError(
            f"the database {shown} was made by a newer DocDuet (its revision is {current!r}, this one knows {HEAD!r}): "
            "update DocDuet, or name another database in [serving] database"
        )
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def _engine(url: str) -> Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    limit = int(BUSY_S * 2000)
    arguments = {
        "connect_timeout": int(BUSY_S),
        "options": f"-c statement_timeout={limit} -c lock_timeout={limit}",
        "tcp_user_timeout": limit,  # a host that has vanished is noticed
        "keepalives_idle": int(BUSY_S),
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    try:
        return create_engine(
            parsed, pool_pre_ping=True, pool_size=THREADS + 1, pool_timeout=BUSY_S, connect_args=arguments
        )
    except ModuleNotFoundError as error:
        raise ConfigError(f"PostgreSQL needs a package ({error.name}): pip install 'docduet[postgres]'") from None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("[serving] database is no URL: write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"[serving] database: {parsed.drivername!r} is not supported: use sqlite or postgresql")
    return parsed


def _sqlite(url: URL) -> Engine:
    """WAL: readers and the writer do not wait for each other. BEGIN is ours, for a writer takes its lock first."""
    if not url.database or url.database == ":memory:":
        raise ConfigError("[serving] database: SQLite needs a file: write sqlite:////absolute/path/docduet.sqlite")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what people asked is nobody else's business
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from None
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII only
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


@contextmanager
def limited(db: Session, seconds: float) -> Iterator[None]:
    """Statements may take so long, together (SQLite) or each (PostgreSQL); OperationalError, see ``was_late``."""
    if db.get_bind().dialect.name == "postgresql":
        db.execute(text(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}"))
        yield
        return
    until, connection = time.monotonic() + seconds, db.connection().connection.driver_connection
    assert connection is not None
    connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def was_late(error: OperationalError) -> bool:
    """Whether a statement took longer than it may."""
    return any(word in str(error.orig) for word in ("interrupted", "statement timeout"))


def reason(error: Exception) -> str:
    """One line for the log, without statement, parameters and values: of failures that can quote them, the kind."""
    if isinstance(error, OperationalError | InterfaceError) or type(error) is DatabaseError:
        return " ".join(str(error.orig).split())[:300]
    return type(getattr(error, "orig", error)).__name__


def database_url(configured: str, home: Home) -> str:
    """``[serving] database``, or a SQLite file in ``home``."""
    return configured or f"sqlite:///{home.database}"

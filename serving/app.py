"""The gateway as an ASGI app. ``docduet serve`` (docduet.py) adds the UI and runs it; tests run it as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from rag.live import LiveIndex
from serving import errors
from serving.access import doors, signin
from serving.access.keyring import Keyring
from serving.access.leaving import CancelWhenGone
from serving.access.middleware import Access
from serving.access.people import owners_of
from serving.access.sessions import Sessions
from serving.access.shared import limiter_of
from serving.access.sso import SingleSignOn
from serving.api import (
    admin,
    admin_docs,
    admin_feedback,
    chat,
    conversations,
    fallback,
    feedback,
    judgements,
    report,
    responses,
    routes,
)
from serving.api.bodylimit import BodyLimit, whole_characters
from serving.api.fallback import HeadAsGet
from serving.api.models import ERRORS
from serving.config import ServingConfig
from serving.engines.checkpoint import CheckpointEngine
from serving.engines.supervisor import Supervisor
from serving.gateway import build_gateway
from serving.ops import tracing
from serving.ops.drain import DrainGate
from serving.ops.requests import Innermost, Requests
from serving.refresh import Refresher
from serving.store.database import Store, database_url


def create_app(
    config: ServingConfig,
    supervisor: Supervisor,
    live: LiveIndex,
    refresher: Refresher | None = None,
    checkpoint: CheckpointEngine | None = None,
) -> FastAPI:
    """The gateway. Its lifespan starts the engines (without waiting for them) and the refresh, and stops them.

    Raises ConfigError or StoreError when the database for conversations, votes and keys cannot be used.
    """
    store = Store.open(database_url(config.database, live.home))
    gateway = build_gateway(config, live, supervisor, store, refresher, checkpoint)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as parts:
            parts.enter_context(tracing.exporting(config.otel))
            await parts.enter_async_context(gateway.recorder)
            await parts.enter_async_context(supervisor)
            for watcher in (refresher, checkpoint):
                if watcher:
                    await parts.enter_async_context(watcher)
            yield

    app = FastAPI(
        title="DocDuet",
        version=_version(),
        description="Answers from your product docs, with sources, behind an OpenAI-compatible API.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        openapi_url="/v1/openapi.json",
        redoc_url=None,
        responses=ERRORS,
        dependencies=[Depends(whole_characters)],
    )
    app.state.gateway = gateway
    keyring, sessions = Keyring(store), Sessions(store, owners_of(config.oidc))
    sso = SingleSignOn(config, sessions) if config.oidc.issuer else None
    gateway.admission.limiter = limiter_of(store, config)
    app.add_middleware(Innermost)
    largest, forms = int(config.max_body_mb * 1e6), {doors.SIGN_IN: signin.MAX_FORM_BYTES}
    app.add_middleware(BodyLimit, max_bytes=largest, timeout_s=config.body_timeout_s, of_path=forms)
    app.add_middleware(Access, config=config, keyring=keyring, sessions=sessions, admission=gateway.admission)
    app.add_middleware(CancelWhenGone)
    app.add_middleware(DrainGate, drain=gateway.drain)
    app.add_middleware(Requests, gateway=gateway)
    errors.install(app)
    app.add_middleware(HeadAsGet)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.cors_origins), allow_methods=["*"], allow_headers=["*"]
        )
    parts = (admin, admin_docs, admin_feedback, chat, responses, conversations, judgements, report, feedback)
    app.include_router(signin.router(keyring, config.oidc, sso))
    if sso:
        app.include_router(sso.router())
    for router in (*(part.router for part in parts), routes.api, routes.pages, routes.operations):
        app.include_router(router)
    app.include_router(fallback.router)  # after all others
    return app


def _version() -> str:
    try:
        return version("docduet")
    except PackageNotFoundError:
        return "0"

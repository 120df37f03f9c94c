"""[serving] in docduet.toml."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from data.checkpoints import DEMO_MODEL, bundled_base, is_demo
from data.settings import Table
from serving.engines.trust import Trust

DEMO_HABITS: Mapping[str, Any] = MappingProxyType({"quote_below": -0.05, "rewrites": False})
"""What docduet-tiny is served with where nothing else is said. It cannot reword questions. Of its answers to held-out
reading tasks 8 % are less certain than that, and their F1 is 0.32 where the others' is 0.81 (benchmarks/LOG.md)."""


class EngineConfig(Table):
    """One engine: a model that `docduet serve` starts with vLLM, or the base_url of one that runs already."""

    name: str = Field("base", description="What the arms call this engine.")
    model: str = Field("", description="Model folder or hub name to start with vLLM.")
    base_url: str = Field(
        "", description="OpenAI-compatible server that runs already, such as http://127.0.0.1:8000/v1."
    )
    served_model: str = Field(
        "", description="Model name to ask for; default: the engine's name, or the first that base_url lists."
    )
    api_key_env: str = Field("", description="Environment variable that holds the engine's API key.")
    port: int = Field(0, ge=0, le=65535, description="Port for a started engine; 0 takes a free one.")
    args: tuple[str, ...] = Field((), description="More arguments for `vllm serve`.")
    env: dict[str, str] = Field({}, description="More environment variables for the engine's process.")
    lora: bool = Field(False, description="Let a started engine take the published adapter in beside its model.")
    lora_rank: int = Field(64, gt=0, le=512, description="Largest rank of an adapter that it takes.")
    thinking: bool = Field(False, description="Let a started Qwen3 think before it answers.")
    extra_body: dict[str, Any] = Field({}, description="Fields that every request to this engine carries.")
    quote_below: float = Field(
        0.0,
        le=0,
        description="Quote when the model is less sure of its first sentence (mean log-probability), or refuses "
        "what the search finds answered; 0: never.",
    )
    refuse_below: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Refuse without asking the model what the docs answer with a smaller probability; 0: always ask.",
    )
    rewrites: bool = Field(
        True, description="Let the model reword follow-ups and translate questions for the search; small ones cannot."
    )
    start_timeout_s: float = Field(600.0, gt=0, description="An engine not ready after this is restarted (seconds).")
    first_timeout_s: float = Field(90.0, gt=0, description="No first piece of an answer after this: failed (seconds).")
    idle_timeout_s: float = Field(30.0, gt=0, description="Silence mid-answer that counts as failure (seconds).")

    @property
    def trust(self) -> Trust:
        """What its model is trusted with."""
        return Trust(quote_below=self.quote_below, refuse_below=self.refuse_below, rewrites=self.rewrites)

    @model_validator(mode="before")
    @classmethod
    def _habits(cls, said: Any) -> Any:
        return {**DEMO_HABITS, **said} if isinstance(said, dict) and is_demo(str(said.get("model", ""))) else said

    @field_validator("model")
    @classmethod
    def _bundled(cls, model: str) -> str:
        """docduet-tiny is the model that comes along."""
        if model != DEMO_MODEL:
            return model
        if (folder := bundled_base()) is None:
            raise ValueError(f"no {DEMO_MODEL} comes with this version of DocDuet: name a folder or a hub model")
        return str(folder)

    @model_validator(mode="after")
    def _one_of_two(self) -> EngineConfig:
        if bool(self.model) == bool(self.base_url):
            found = "has both" if self.model else "has neither"
            raise ValueError(
                "an engine needs either model (to start vLLM with) or base_url (of a running server, whose model "
                f"served_model names), and this one {found}"
            )
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url is no address: write http://HOST:PORT/v1, not {self.base_url!r}")
        if self.lora and not self.model:
            raise ValueError("lora is for an engine that is started: give it a model, not a base_url")
        return self


class OidcConfig(Table):
    """Single sign-on with an OpenID Connect provider: off while it has no issuer."""

    issuer: str = Field("", description="The provider's issuer, such as https://login.example.com/realms/support.")
    client_id: str = Field("", description="What the provider calls this gateway.")
    client_secret: str = Field("", repr=False, description="Its secret; empty for a public client, which has PKCE.")
    name: str = Field("", description="What the sign-in page calls the provider.")
    direct: bool = Field(False, description="Go straight to the provider; keys are then entered at /sign-in?key=1.")
    scopes: tuple[str, ...] = Field(("openid", "profile", "email"), description="What is asked of the provider.")
    allowed_domains: tuple[str, ...] = Field((), description="Domains of e-mail addresses let in; empty: all people.")
    admin_emails: tuple[str, ...] = Field((), description="E-mail addresses of administrators.")
    admin_groups: tuple[str, ...] = Field((), description="Groups or roles whose members are administrators.")
    groups_claim: str = Field("groups", description="The claim that lists them; dots lead into it.")
    trust_emails: bool = Field(False, description="Believe e-mail addresses without the claim email_verified.")
    session_hours: float = Field(12.0, gt=0, le=720, description="People sign in again after this (hours).")

    @model_validator(mode="after")
    def _complete(self) -> OidcConfig:
        if not self.issuer:
            return self
        url = urlsplit(self.issuer)
        local = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1", "::1")
        if not url.hostname or not (url.scheme == "https" or local) or url.query or ".well-known" in url.path:
            raise ValueError(
                "issuer must be an https address without a query, as the provider's discovery document tells it, not "
                f"{self.issuer!r} (plain http is for a provider on this machine)"
            )
        if not self.client_id:
            raise ValueError("single sign-on needs a client_id: register DocDuet with the provider")
        if "openid" not in self.scopes:
            raise ValueError("scopes must hold openid")
        return self


class ServingConfig(Table):
    """Gateway and engines."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(7860, ge=0, le=65535, description="Port to listen on.")
    public_url: str = Field("", description="How browsers reach the gateway; default: as the request came in.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins whose web pages may call the API from a browser, such as https://help.example.com."
    )
    database: str = Field(
        "",
        description="URL of the database for conversations, votes and keys; default: SQLite in DOCDUET_HOME.",
    )
    keep_days: float = Field(0, ge=0, description="Older conversations are deleted; 0 keeps them (days).")
    engines: tuple[EngineConfig, ...] = Field((), description="Engines; none means quoting mode.")
    verify: tuple[Literal["rag", "sft-rag", "sft", "base"], ...] = Field(
        ("rag", "sft-rag", "sft"), description="Voices whose answers are checked against the docs."
    )
    sft_system_prompt: str = Field(
        "", description="System prompt of an engine called 'sft'; default: that of DocDuet's training data."
    )
    sft_args: tuple[str, ...] = Field((), description="More arguments for `vllm serve` on the published checkpoint.")
    require_keys: Literal["auto", "always", "never"] = Field(
        "auto", description="Ask for keys; auto: when host is not this machine alone, or once a key was made."
    )
    metrics_without_key: Literal["loopback", "always", "never"] = Field(
        "loopback", description="Who reads /metrics without an admin's key."
    )
    oidc: OidcConfig = Field(OidcConfig(), description="Single sign-on, a table of its own: [serving.oidc].")
    requests_per_minute: int = Field(120, ge=0, description="Requests of one key in a minute; 0: any number.")
    tokens_per_minute: int = Field(
        400_000, ge=0, description="Tokens of one key in a minute, prompts and answers; 0: any number."
    )
    concurrent_answers: int = Field(8, ge=0, description="Answers of one key at the same time; 0: any number.")
    local_requests_per_minute: int = Field(
        120_000, ge=0, description="Requests in a minute where no keys are asked for; 0: any number."
    )
    max_answers: int = Field(1024, gt=0, description="Answers of the whole gateway at the same time.")
    max_queue: int = Field(256, ge=0, description="Questions that may wait for an answer to end.")
    queue_wait_s: float = Field(30.0, gt=0, description="A question waits at most this long (seconds).")
    max_messages: int = Field(500, gt=0, description="Longer conversations are refused (messages).")
    max_prompt_chars: int = Field(
        200_000, gt=0, description="All messages of a request together are at most this long (characters)."
    )
    body_timeout_s: float = Field(30.0, gt=0, description="A request's body must have come after this (seconds).")
    max_question_chars: int = Field(
        20_000, gt=0, description="Longer questions are refused with a clear error (characters)."
    )
    max_body_mb: float = Field(4.0, gt=0, description="Larger request bodies are refused (MB).")
    answer_timeout_s: float = Field(120.0, gt=0, description="An answer takes at most this long (seconds).")
    log: Literal["text", "json"] = Field("text", description="Logs as lines of text, or one JSON object a line.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that DocDuet's own logs tell."
    )
    log_texts: bool = Field(False, description="Log questions and answers too: for a test, not for people's work.")
    otel: str = Field(
        "", description="OTLP collector for traces, such as http://127.0.0.1:4318; empty: as the environment says."
    )
    shutdown_timeout_s: float = Field(
        30.0, ge=0, description="Answers under way may take so long to end when the gateway stops (seconds)."
    )
    route_both: bool = Field(
        True,
        description="Let `auto` answer with two voices where it cannot tell which is better and the client reads two.",
    )
    route_probe: bool = Field(
        False, description="Let `auto` ask the engine whether the passages answer (one token, at most 0.5 s)."
    )
    max_tokens: int = Field(1024, gt=0, description="Longest answer when the request names none (tokens).")

    @model_validator(mode="after")
    def _names_differ(self) -> ServingConfig:
        names = [engine.name for engine in self.engines]
        if len(set(names)) != len(names):
            raise ValueError(f"two engines have the same name: {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _comes_back(self) -> ServingConfig:
        if self.oidc.issuer and not self.public_url.startswith(("https://", "http://")):
            raise ValueError(
                "single sign-on needs public_url, the address at which browsers reach this gateway, such as "
                "https://docduet.example.com: the provider sends people back to it"
            )
        return self

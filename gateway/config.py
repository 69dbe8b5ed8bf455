"""The gateway's settings: what `config.toml` and the environment may say."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from adapters.base import Row
from adapters.wire.replicate import ModelRef
from gateway.tariffs import Price

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Limit = Annotated[int, Meta(ge=0)]
Time = Annotated[float, Meta(gt=0)]
Unpriced = Annotated[str, Meta(pattern=r"^(allow|deny|assume \d{1,7}(\.\d{1,6})?)$")]
Patience = Annotated[float, Meta(ge=0)]


class ConfigError(Exception):
    """What is wrong, and where; the message is for the operator."""


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where we listen and how we stop."""

    host: str = "127.0.0.1"
    port: Port = 8000
    public_url: str = ""
    max_body_mb: Count = 65
    heartbeat_seconds: Time = 10.0
    drain_seconds: Patience = 30.0
    unread_seconds: Time = 60.0
    cors_origins: tuple[str, ...] = ("*",)


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the books and our copies of outputs live."""

    folder: str = "data"
    database: str = ""
    outputs: str = ""
    when_down: Literal["refuse", "allow"] = "refuse"


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Replicate is called."""

    connect_seconds: Time = 5.0
    read_seconds: Time = 60.0
    connections: Count = 1200
    requests_per_minute: Count = 3000
    creates_per_minute: Count = 600
    longest_wait_seconds: Patience = 20.0
    retry_seconds: Patience = 20.0
    deadline_seconds: Annotated[int, Meta(ge=5)] = 600  # Replicate takes no shorter Cancel-After
    sync_wait_seconds: Annotated[int, Meta(ge=0, le=60)] = 60
    webhooks: bool = True
    any_model: bool = True


class SchemasConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a model's schema is trusted."""

    refresh_seconds: Count = 3600
    capacity: Count = 5000


class OutputsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our copies of the files that predictions make."""

    keep_hours: Time = 24.0
    url_minutes: Time = 60.0
    max_mb: Count = 200
    hosts: tuple[str, ...] = ("replicate.delivery", "*.replicate.delivery")


class BudgetsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What calls hold of the budgets, and who is told how these stand."""

    unpriced: Unpriced = "allow"
    run_seconds: Count = 60
    webhook: str = ""
    webhook_secret: str = ""


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast a key that does not say otherwise may go; 0 is without limit."""

    requests_per_minute: Limit = 0
    tokens_per_minute: Limit = 0
    images_per_minute: Limit = 0
    calls_at_once: Limit = 0


class ResponsesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Responses that outlive their request."""

    keep_days: Time = 30.0


class IntentsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prediction per intent: `Idempotency-Key`, and the retries of OpenAI's SDKs."""

    keep_hours: Time = 24.0
    max_mb: Count = 8
    grace_seconds: Patience = 10.0
    recent_minutes: Time = 5.0
    recent_mb: Count = 64


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged; prompts and outputs never are."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class SharedConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What several gateways share, beside their books in PostgreSQL."""

    redis: str = ""
    patience_seconds: Time = 0.5
    lease_seconds: Annotated[float, Meta(ge=1)] = 15.0


class ModelRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model by the name that clients write."""

    price: Price | None = None
    fallbacks: tuple[str, ...] = ()
    patience_seconds: Time | None = None

    @property
    def ref(self) -> ModelRef:
        return ModelRef.parse(self.model)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """All settings. Immutable: a reload makes a new one and swaps it whole."""

    server: Server = field(default_factory=Server)
    state: State = field(default_factory=State)
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    schemas: SchemasConfig = field(default_factory=SchemasConfig)
    outputs: OutputsConfig = field(default_factory=OutputsConfig)
    budgets: BudgetsConfig = field(default_factory=BudgetsConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    shared: SharedConfig = field(default_factory=SharedConfig)
    intents: IntentsConfig = field(default_factory=IntentsConfig)
    responses: ResponsesConfig = field(default_factory=ResponsesConfig)
    log: LogConfig = field(default_factory=LogConfig)
    models: dict[str, ModelRow] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return Path(self.state.folder)

    @cached_property
    def names(self) -> dict[str, ModelRow]:
        """Every name a client may write for a configured model, aliases too."""
        return {alias: row for name, row in self.models.items() for alias in (name, *row.aliases)}

    def row(self, name: str) -> ModelRow | None:
        """The row of this name or alias; a model ref that a row is about means that row as well."""
        return self.names.get(name) or self._by_ref.get(name)

    @cached_property
    def _by_ref(self) -> dict[str, ModelRow]:
        return {row.model: row for row in reversed(self.models.values())}

    @property
    def public_url(self) -> str:
        """Where clients reach us, without a slash at the end."""
        return self.server.public_url.rstrip("/") or f"http://{_reachable(self.server.host)}:{self.server.port}"


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::", ""}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host

"""The gateway's settings: what `config.toml` and the environment may say, checked whole before anything starts."""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

from adapters.base import Row
from adapters.templates import template_named
from adapters.wire.replicate import METRICS, ModelRef
from gateway.tariffs import Price, Span

PREFIX = "REPLIGATE__"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Limit = Annotated[int, Meta(ge=0)]
Time = Annotated[float, Meta(gt=0)]
Patience = Annotated[float, Meta(ge=0)]


class ConfigError(Exception):
    """What is wrong, and where; the message is for the operator."""


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where we listen and how we stop."""

    host: str = "127.0.0.1"
    port: Port = 8000
    public_url: str = ""
    max_body_mb: Count = 50
    heartbeat_seconds: Time = 10.0
    drain_seconds: Patience = 30.0
    cors_origins: tuple[str, ...] = ("*",)


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the books and our copies of outputs live."""

    folder: str = "data"
    database: str = ""
    outputs: str = ""


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Replicate is called."""

    connect_seconds: Time = 5.0
    read_seconds: Time = 60.0
    connections: Count = 1200
    requests_per_minute: Count = 3000
    retry_seconds: Patience = 20.0
    deadline_seconds: Annotated[int, Meta(ge=5)] = 600  # Replicate takes no shorter Cancel-After
    sync_wait_seconds: Annotated[int, Meta(ge=0, le=60)] = 10
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


class LimitsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast a key that does not say otherwise may go; 0 is without limit."""

    requests_per_minute: Limit = 0
    tokens_per_minute: Limit = 0
    images_per_minute: Limit = 0
    calls_at_once: Limit = 0


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged; prompts and outputs never are."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class ModelRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model by the name that clients write."""

    price: Price | None = None

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
    limits: LimitsConfig = field(default_factory=LimitsConfig)
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


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The file's settings (or the defaults), with `REPLIGATE__SECTION__KEY` and `REPLIGATE_DATA_DIR` on top.

    Raises ConfigError, naming the file, the key and the nearest known name.
    """
    settings = _read(path) if path else {}
    where = str(path or "settings")
    for section, key, text in _overrides(environ):
        if isinstance(told := settings.setdefault(section, {}), dict):
            told[key] = text
    for problem in _unknown(settings, Config, ""):
        raise ConfigError(f"{where}: {problem}")
    try:
        config = msgspec.convert(_with_secrets(settings, environ), Config, strict=False)
    except msgspec.ValidationError as wrong:
        raise ConfigError(f"{where}: {_named(str(wrong), settings)}") from None
    for problem in _contradictions(config):
        raise ConfigError(f"{where}: {problem}")
    return _rooted(config, path, environ)


def settings_of(kind: type[Struct] = Config, path: str = "") -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every key with its dotted path; a model row's stand under `models.NAME`."""
    for info in msgspec.structs.fields(kind):
        inner, here = _struct_in(info.type), f"{path}{info.name}"
        if inner is None or get_origin(info.type) is tuple:
            yield here, info
        else:
            yield from settings_of(inner, f"{here}.NAME." if get_origin(info.type) is dict else f"{here}.")


def _rooted(config: Config, path: Path | None, environ: Mapping[str, str]) -> Config:
    """A data folder named in a file is meant as seen from that file; one named in the environment, from here."""
    if path is None or environ.get("REPLIGATE_DATA_DIR") or environ.get(f"{PREFIX}STATE__FOLDER"):
        return config
    folder = str(path.absolute().parent / config.state.folder)
    return msgspec.structs.replace(config, state=msgspec.structs.replace(config.state, folder=folder))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise ConfigError(f"{path}: {wrong}") from None


def _overrides(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str | list[str]]]:
    sections = {info.name: info.type for info in msgspec.structs.fields(Config) if info.name != "models"}
    for name, text in environ.items():
        if not name.startswith(PREFIX):
            continue
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if section not in sections or not key:
            raise ConfigError(f"{name}: no such setting{_nearest(section, sections)}")
        known = {info.name: info.type for info in msgspec.structs.fields(sections[section])}
        if key not in known:
            raise ConfigError(f"{name}: no such setting{_nearest(key, known)}")
        yield section, key, [each.strip() for each in text.split(",")] if get_origin(known[key]) is tuple else text
    if folder := environ.get("REPLIGATE_DATA_DIR"):
        yield "state", "folder", folder


def _with_secrets(settings: Any, environ: Mapping[str, str], path: str = "") -> Any:
    """The settings with every `${NAME}` that is a whole value taken from the environment: a file holds no secrets."""
    if isinstance(settings, dict):
        return {key: _with_secrets(value, environ, f"{path}.{key}") for key, value in settings.items()}
    if not isinstance(settings, str) or not (told := _VARIABLE.fullmatch(settings)):
        return settings
    if told[1] not in environ:
        raise ConfigError(f"{path.lstrip('.')}: {told[1]} is not in the environment")
    return environ[told[1]]


def _unknown(settings: object, kind: type[Struct], path: str) -> Iterator[str]:
    if not isinstance(settings, dict):
        return
    known = {info.name: info.type for info in msgspec.structs.fields(kind)}
    for key, value in settings.items():
        if key not in known:
            yield f"{path}{key}: no such key{_nearest(key, known)}"
        elif (inner := _struct_in(known[key])) is None:
            continue
        elif get_origin(known[key]) is dict and isinstance(value, dict):
            for name, row in value.items():
                yield from _unknown(row, inner, f'{path}{key}."{name}".')
        elif isinstance(value, list):
            for place, each in enumerate(value):
                yield from _unknown(each, inner, f"{path}{key}[{place}].")
        else:
            yield from _unknown(value, inner, f"{path}{key}.")


def _contradictions(config: Config) -> Iterator[str]:
    if config.server.public_url and not config.server.public_url.startswith(("http://", "https://")):
        yield "server.public_url: this begins with http:// or https://"
    claimed: dict[str, str] = {}
    for name, row in config.models.items():
        try:
            ModelRef.parse(row.model)
        except ValueError as wrong:
            yield f'models."{name}".model: {wrong}'
        try:
            if row.template is not None:
                template_named(row.template)
        except ValueError as wrong:
            yield f'models."{name}".template: {wrong}'
        for problem in _undecidable(row.price):
            yield f'models."{name}".price.tiers{problem}'
        for alias in (name, *row.aliases):
            if claimed.setdefault(alias, name) != name:
                yield f'models."{name}".aliases: {alias!r} already names models."{claimed[alias]}"'


def _undecidable(price: Price | None) -> Iterator[str]:
    """Criteria that no prediction can meet."""
    for place, tier in enumerate(price.tiers if price else ()):
        for metric, criterion in tier.when.items():
            if metric not in METRICS:
                yield f"[{place}].when.{metric}: no such metric{_nearest(metric, METRICS)}"
            elif criterion == Span():
                yield f"[{place}].when.{metric}: a span has `above`, `up_to` or both"


def _struct_in(kind: Any) -> type[Struct] | None:
    for part in (kind, *get_args(kind)):
        if isinstance(part, type) and issubclass(part, Struct):
            return part
    return None


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}"


def _named(message: str, settings: dict[str, Any]) -> str:
    rows = settings.get("models", {})
    # msgspec writes a mapping's key as [...]: find which row it was by trying each alone.
    for name, row in rows.items() if isinstance(rows, dict) else ():
        try:
            msgspec.convert(row, ModelRow, strict=False)
        except msgspec.ValidationError as wrong:
            return _placed(str(wrong), f'models."{name}"')
    return _placed(message)


def _placed(message: str, path: str = "") -> str:
    """The key first, then what is wrong with it."""
    problem, _, place = message.partition(" - at `$")
    where = f"{path}{place}".strip(".`")
    return f"{where}: {problem[0].lower()}{problem[1:]}"


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::", ""}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host

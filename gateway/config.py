"""The gateway's settings: what `config.toml` and the environment may say, checked whole before anything starts."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct, field

from adapters.base import Row
from adapters.wire.replicate import ModelRef

PREFIX = "REPLIGATE__"


class ConfigError(Exception):
    """What is wrong, and where; the message is for the operator."""


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where we listen and how we stop."""

    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    max_body_mb: int = 50
    heartbeat_seconds: float = 10.0
    drain_seconds: float = 30.0
    cors_origins: tuple[str, ...] = ("*",)


class State(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the books and our copies of outputs live."""

    folder: str = "data"
    database: str = ""
    outputs: str = ""


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Replicate is called."""

    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    connections: int = 1200
    requests_per_minute: int = 3000
    deadline_seconds: int = 600
    sync_wait_seconds: int = 60
    webhooks: bool = True
    any_model: bool = True


class SchemasConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a model's schema is trusted."""

    refresh_seconds: int = 3600
    capacity: int = 5000


class OutputsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our copies of the files that predictions make."""

    keep_hours: float = 24.0
    url_minutes: float = 60.0
    max_mb: int = 200
    hosts: tuple[str, ...] = ("replicate.delivery", "*.replicate.delivery")


class LogConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged; prompts and outputs never are."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model costs, in US dollars; the bases that are set are added up."""

    per_million_input_tokens: float | None = None
    per_million_output_tokens: float | None = None
    per_image: float | None = None
    per_second: float | None = None
    per_run: float | None = None
    hardware: str | None = None


class ModelRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model by the name that clients write."""

    price: Price | None = None

    @property
    def ref(self) -> ModelRef:
        return ModelRef.parse(self.model)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. Immutable: a reload makes a new one and swaps it whole."""

    server: Server = field(default_factory=Server)
    state: State = field(default_factory=State)
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    schemas: SchemasConfig = field(default_factory=SchemasConfig)
    outputs: OutputsConfig = field(default_factory=OutputsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    models: dict[str, ModelRow] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return Path(self.state.folder)

    @property
    def public_url(self) -> str:
        """Where clients reach us, without a slash at the end."""
        return self.server.public_url.rstrip("/") or f"http://{_reachable(self.server.host)}:{self.server.port}"


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The file's settings (or the defaults), with `REPLIGATE__SECTION__KEY` and `REPLIGATE_DATA_DIR` on top.

    Raises ConfigError, naming the file, the key and the nearest known name.
    """
    settings = _read(path) if path else {}
    where = str(path or "defaults")
    for section, key, text in _overrides(environ):
        settings.setdefault(section, {})[key] = text
    if folder := environ.get("REPLIGATE_DATA_DIR"):
        settings.setdefault("state", {})["folder"] = folder
    for problem in _unknown(settings, Config, ""):
        raise ConfigError(f"{where}: {problem}")
    try:
        config = msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as wrong:
        raise ConfigError(f"{where}: {_named(str(wrong), settings)}") from None
    for problem in _contradictions(config):
        raise ConfigError(f"{where}: {problem}")
    return config


def settings_of(kind: type[Struct] = Config, path: str = "") -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every key with its dotted path; a model row's stand under `models.NAME`."""
    for info in msgspec.structs.fields(kind):
        inner, here = _struct_in(info.type), f"{path}{info.name}"
        if inner is None:
            yield here, info
        else:
            yield from settings_of(inner, f"{here}.NAME." if get_origin(info.type) is dict else f"{here}.")


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
        yield section, key, text.split(",") if get_origin(known[key]) is tuple else text


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
        else:
            yield from _unknown(value, inner, f"{path}{key}.")


def _contradictions(config: Config) -> Iterator[str]:
    claimed: dict[str, str] = {}
    for name, row in config.models.items():
        try:
            ModelRef.parse(row.model)
        except ValueError as wrong:
            yield f'models."{name}".model: {wrong}'
        for alias in (name, *row.aliases):
            if claimed.setdefault(alias, name) != name:
                yield f'models."{name}".aliases: {alias!r} already names models."{claimed[alias]}"'


def _struct_in(kind: Any) -> type[Struct] | None:
    for part in (kind, *get_args(kind)):
        if isinstance(part, type) and issubclass(part, Struct):
            return part
    return None


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}"


def _named(message: str, settings: dict[str, Any]) -> str:
    # msgspec writes a mapping's key as [...]: find which row it was by trying each alone.
    for name, row in settings.get("models", {}).items():
        try:
            msgspec.convert(row, ModelRow, strict=False)
        except msgspec.ValidationError as wrong:
            return f'models."{name}": {wrong}'
    return message


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host

"""Settings out of a file and the environment, checked whole before anything starts."""

import base64
import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from adapters.templates import template_named
from adapters.wire.replicate import METRICS, ModelRef
from gateway.config import BudgetsConfig, Config, ConfigError, ModelRow
from gateway.tariffs import Price, Span

PREFIX = "REPLIGATE__"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


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
    if config.shared.redis and not config.state.database.startswith("postgres"):
        yield "shared.redis: who shares limits shares the books, too: set state.database to a postgresql:// URL"
    yield from _unreachable(config.budgets)
    claimed: dict[str, str] = {}
    for name, row in config.models.items():
        for place, problem in _wrong(config, row):
            yield f'models."{name}".{place}: {problem}'
        for alias in (name, *row.aliases):
            if claimed.setdefault(alias, name) != name:
                yield f'models."{name}".aliases: {alias!r} already names models."{claimed[alias]}"'


def _unreachable(budgets: BudgetsConfig) -> Iterator[str]:
    """Why nobody could be told of budgets, or believe it."""
    if not budgets.webhook:
        return
    parts = urlsplit(budgets.webhook)
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or not (parts.scheme == "https" or local):
        yield "budgets.webhook: this begins with https://, or with http:// and this very machine"
    try:
        secret = base64.b64decode(budgets.webhook_secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        secret = b""
    if not 24 <= len(secret) <= 64:
        yield (
            "budgets.webhook_secret: notices are signed with 24 to 64 bytes in base64; take them from the environment: "
            '"${REPLIGATE_WEBHOOK_SECRET}", made with: openssl rand -base64 32'
        )


def _wrong(config: Config, row: ModelRow) -> Iterator[tuple[str, object]]:
    """Keys of a row, and what is wrong with each."""
    try:
        ModelRef.parse(row.model)
    except ValueError as wrong:
        yield "model", wrong
    try:
        if row.template is not None:
            template_named(row.template)
    except ValueError as wrong:
        yield "template", wrong
    for problem in _unfit(config, row):
        yield "fallbacks", problem
    for place, problem in _undecidable(row.price):
        yield f"price.tiers{place}", problem


def _unfit(config: Config, row: ModelRow) -> Iterator[str]:
    """Fallbacks that mean nothing, or the model itself."""
    for other in row.fallbacks:
        found = config.row(other)
        if found is row:
            yield f"{other!r} is this model itself"
        elif found is None and not (config.upstream.any_model and _is_ref(other)):
            yield f"no such model: {other!r}{_nearest(other, config.names)}"


def _is_ref(name: str) -> bool:
    try:
        ModelRef.parse(name)
    except ValueError:
        return False
    return True


def _undecidable(price: Price | None) -> Iterator[tuple[str, str]]:
    """Criteria that no prediction can meet."""
    for place, tier in enumerate(price.tiers if price else ()):
        for metric, criterion in tier.when.items():
            if metric not in METRICS:
                yield f"[{place}].when.{metric}", f"no such metric{_nearest(metric, METRICS)}"
            elif criterion == Span():
                yield f"[{place}].when.{metric}", "a span has `above`, `up_to` or both"


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

"""`repligate serve`: settings read, parts opened, and the server run until it is told to stop."""

import asyncio
import gc
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import structlog
import uvloop
from msgspec import Struct
from msgspec.structs import asdict, replace

from gateway import log as logs
from gateway.accounts.keys import Keys
from gateway.accounts.prices import Prices
from gateway.app import create_app, open_gateway
from gateway.config import Config, ConfigError
from gateway.draining import drain
from gateway.loading import load
from gateway.parts import Gateway, Replicate
from gateway.serving import Server, listening, on_hangup, when_orphaned
from gateway.store.lock import ServerLock
from gateway.store.sql import Store
from gateway.workers import Report, Workers

log = structlog.get_logger()

LIVE: Mapping[str, tuple[str, ...]] = {
    "server": ("heartbeat_seconds", "drain_seconds"),
    "state": (),
    "upstream": ("any_model",),
    "schemas": (),
    "outputs": (),
    "shared": (),
}
"""Of these sections, the keys that a reload brings into force; of every other section all of them are."""

PUBLIC_API = "https://api.replicate.com/v1"
_ALONE = (
    "--workers: several processes are one to clients only where they share their limits and their books; without, each "
    "would let every key go as fast as one, and take the others' running calls for abandoned. Set state.database to a "
    "postgresql:// URL and shared.redis to a redis:// one (docs/scaling.md), or serve with one process"
)
_YOUNG = 10_000
"""New objects after which those that are young are looked through: a call makes some hundreds."""

DEMO_PACE = 60.0
"""Tokens a second of the built-in simulator: quick, and still seen to stream."""


class Start(Struct, frozen=True):
    """What a serving process is started with; `environ` wins over the file at `path`."""

    path: Path | None
    environ: Mapping[str, str]
    replicate: Replicate


def run(path: Path | None, environ: Mapping[str, str], workers: int = 1) -> None:
    """Serves until SIGTERM or SIGINT. Raises ConfigError for what the operator must mend first."""
    config = checked(path, environ)
    logs.configure(config.log)
    if workers > 1 and not config.shared.redis:
        raise ConfigError(_ALONE)
    with ExitStack() as open_things:
        if workers == 1:
            open_things.enter_context(ServerLock.take(config))
        sock = open_things.enter_context(_listening(config))
        start = Start(path, dict(environ), _replicate(environ, open_things))
        if workers == 1:
            uvloop.run(_serve(start, config, sock, partial(_announce, replicate=start.replicate)))
        else:
            _several(workers, start, config, sock)


def _several(count: int, start: Start, config: Config, sock: socket.socket) -> None:
    ServerLock.take(config).release()  # each worker takes it, together with the others
    store = Store.open(config)  # brings the tables up to date, before anyone needs them
    try:
        workers = Workers(count, sock, partial(_work, start))
        workers.start()
        asyncio.run(_announce(_at(config, sock), Keys(store), start.replicate))
    finally:
        store.close()
    gc.enable()
    workers.watch()


def _work(start: Start, sock: socket.socket, report: Report) -> None:
    """One of several workers, from its start to its end."""

    async def ready(config: Config, keys: Keys) -> None:
        report("")

    try:
        config = checked(start.path, start.environ)
        logs.configure(config.log)
        with ServerLock.take(config):
            uvloop.run(_serve(start, config, sock, ready))
    except ConfigError as wrong:
        log.error("a worker cannot serve", reason=str(wrong))
        report(str(wrong))
        sys.exit(1)


def checked(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The settings, with what they name of our own tables looked up too. Raises ConfigError."""
    config = load(path, environ)
    for problem in Prices.shipped().problems(config):
        raise ConfigError(f"{path or 'settings'}: {problem}")
    return config


def _replicate(environ: Mapping[str, str], open_things: ExitStack) -> Replicate:
    tokens = tuple(filter(None, map(str.strip, environ.get("REPLICATE_API_TOKEN", "").split(","))))
    base_url = environ.get("REPLICATE_API_BASE_URL", "").rstrip("/")
    if tokens:
        return Replicate(base_url or PUBLIC_API, tokens)
    if base_url:
        raise ConfigError("REPLICATE_API_BASE_URL is set, but there is no REPLICATE_API_TOKEN to go with it")
    from gateway.simulator import Settings, Simulator

    simulator = open_things.enter_context(Simulator(Settings(pace=DEMO_PACE)))
    return Replicate(simulator.base_url, (simulator.token,), simulated=True)


def _listening(config: Config) -> socket.socket:
    try:
        return listening(config.server.host, config.server.port)
    except OSError as taken:
        where = f"{config.server.host}:{config.server.port}"
        raise ConfigError(f"{where}: {taken.strerror}; another port: `--port N`") from None


def _at(config: Config, sock: socket.socket) -> Config:
    """The settings with the port that was found."""
    return replace(config, server=replace(config.server, port=sock.getsockname()[1]))


async def _serve(
    start: Start, started: Config, sock: socket.socket, opened: Callable[[Config, Keys], Awaitable[None]]
) -> None:
    async with open_gateway(_at(started, sock), start.environ, start.replicate) as gateway:
        server = Server(create_app(gateway), partial(drain, gateway))
        on_hangup(partial(_reload, gateway, started, start))
        when_orphaned(server.stop)
        await opened(gateway.config, gateway.keys)
        _settle_down()
        await server.serve(sockets=[sock])


def _settle_down() -> None:
    """What starting made stays as long as the process: the collector of garbage need not go through it again and again,
    which took a tenth of all CPU, and a tenth of a second each time; nor once, to find a thousand objects."""
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    gc.enable()


def _reload(gateway: Gateway, started: Config, start: Start) -> None:
    """The settings read again: swapped whole, or the old ones stay and the log says why."""
    try:
        new = checked(start.path, start.environ)
    except ConfigError as wrong:
        log.error("settings not reloaded", reason=str(wrong))
        return
    gateway.config, waiting = reloaded(gateway.config, started, new)
    gateway.limits.defaults = gateway.config.limits
    logs.configure(new.log)
    log.info("settings reloaded", models=len(new.models), after_restart=waiting)


def reloaded(running: Config, started: Config, new: Config) -> tuple[Config, list[str]]:
    """What of the new settings a running gateway takes up, and the keys that wait for a restart: those that parts were
    opened with. `started` is what was read when it started, before a free port was found."""
    sections, waiting = {}, list[str]()
    for section, live in LIVE.items():
        old, now = getattr(started, section), getattr(new, section)
        waiting += [
            f"{section}.{key}" for key in asdict(now) if key not in live and getattr(now, key) != getattr(old, key)
        ]
        sections[section] = replace(getattr(running, section), **{key: getattr(now, key) for key in live})
    return replace(new, **sections), waiting


async def _announce(config: Config, keys: Keys, replicate: Replicate) -> None:
    url = f"{config.public_url}/v1"
    click.echo(f"Repligate listens on {url}")
    if not replicate.simulated:
        if not await keys.list():
            click.echo("There is no key yet. To make one: repligate keys create NAME")
        return
    key = await _demo_key(keys)
    model = next(iter(config.models), "sim/echo")
    click.echo(
        "There is no REPLICATE_API_TOKEN: a built-in simulator of Replicate answers, and nothing is spent.\n"
        f"\n  key   {key}\n\n"
        f"  curl {url}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        f"""    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'\n"""
    )


async def _demo_key(keys: Keys) -> str:
    """A key for trying: new at each start, for only its hash is kept; earlier ones end."""
    for key in await keys.list():
        if key.name == "demo" and key.state == "active":
            await keys.revoke(key.id)
    _, secret = await keys.create("demo")
    return secret

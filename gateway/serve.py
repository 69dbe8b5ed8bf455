"""`repligate serve`: settings read, parts opened, and the server run until it is told to stop."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import structlog
import uvloop
from msgspec.structs import asdict, replace

from gateway import log as logs
from gateway.accounts.prices import Prices
from gateway.app import create_app, open_gateway
from gateway.config import Config, ConfigError, load
from gateway.draining import drain
from gateway.parts import Gateway, Replicate
from gateway.serving import Server, listening, on_hangup
from gateway.store.lock import ServerLock

log = structlog.get_logger()

LIVE: Mapping[str, tuple[str, ...]] = {
    "server": ("heartbeat_seconds", "drain_seconds"),
    "state": (),
    "upstream": ("any_model",),
    "schemas": (),
    "outputs": (),
}
"""Of these sections, the keys that a reload brings into force; of every other section all of them are."""

PUBLIC_API = "https://api.replicate.com/v1"
DEMO_PACE = 60.0
"""Tokens a second of the built-in simulator: quick, and still seen to stream."""


def run(path: Path | None, environ: Mapping[str, str]) -> None:
    """Serves until SIGTERM or SIGINT. Raises ConfigError for what the operator must mend first."""
    config = checked(path, environ)
    logs.configure(config.log)
    with ExitStack() as open_things:
        open_things.enter_context(ServerLock.take(config))
        replicate = _replicate(environ, open_things)
        uvloop.run(_serve(config, path, environ, replicate))


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


async def _serve(config: Config, path: Path | None, environ: Mapping[str, str], replicate: Replicate) -> None:
    try:
        sock = listening(config.server.host, config.server.port)
    except OSError as taken:
        where = f"{config.server.host}:{config.server.port}"
        raise ConfigError(f"{where}: {taken.strerror}; another port: `--port N`") from None
    started = config
    config = replace(started, server=replace(started.server, port=sock.getsockname()[1]))
    async with open_gateway(config, environ, replicate) as gateway:
        server = Server(create_app(gateway), partial(drain, gateway))
        on_hangup(partial(_reload, gateway, started, path, environ))
        await _announce(gateway, replicate)
        await server.serve(sockets=[sock])


def _reload(gateway: Gateway, started: Config, path: Path | None, environ: Mapping[str, str]) -> None:
    """The settings read again: swapped whole, or the old ones stay and the log says why."""
    try:
        new = checked(path, environ)
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


async def _announce(gateway: Gateway, replicate: Replicate) -> None:
    url = f"{gateway.config.public_url}/v1"
    click.echo(f"Repligate listens on {url}")
    if not replicate.simulated:
        if not await gateway.keys.list():
            click.echo("There is no key yet. To make one: repligate keys create NAME")
        return
    key = await _demo_key(gateway)
    model = next(iter(gateway.config.models), "sim/echo")
    click.echo(
        "There is no REPLICATE_API_TOKEN: a built-in simulator of Replicate answers, and nothing is spent.\n"
        f"\n  key   {key}\n\n"
        f"  curl {url}/chat/completions \\\n"
        f"    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        f"""    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'\n"""
    )


async def _demo_key(gateway: Gateway) -> str:
    """A key for trying: new at each start, for only its hash is kept; earlier ones end."""
    for key in await gateway.keys.list():
        if key.name == "demo" and key.state == "active":
            await gateway.keys.revoke(key.id)
    _, secret = await gateway.keys.create("demo")
    return secret

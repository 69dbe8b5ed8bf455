"""Our own gateway as it is measured: with a virtual key, its limits and the ledger."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.peers import ROOT, TOKEN, Origin, Peer
from benchmarks.processes import Process, free_port, python


class Setting(Struct, frozen=True):
    """How it is set up: more rows of its config, what is done to its folder before it starts, and what its process
    runs in (`benchmarks inside` tells of itself)."""

    name: str = "repligate"
    rows: str = ""
    prepare: Callable[[Path], None] | None = None
    inside: tuple[str, ...] = ()


@contextmanager
def repligate(origin: Origin, folder: Path) -> Iterator[Peer]:
    """Ours, as anybody would start it."""
    with opened(origin, folder, Setting()) as peer:
        yield peer


@contextmanager
def opened(origin: Origin, folder: Path, setting: Setting) -> Iterator[Peer]:
    """Ours, set up so."""
    port, home = free_port(), folder / setting.name
    home.mkdir(exist_ok=True)
    config = home / "config.toml"
    config.write_text(_CONFIG.format(port=port) + setting.rows)
    told = {
        "REPLICATE_API_TOKEN": TOKEN,
        "REPLICATE_API_BASE_URL": f"{origin.url}/v1",
        "REPLIGATE_DATA_DIR": str(home / "data"),
        "PYTHONPATH": str(ROOT),
    }
    made = python("gateway", "keys", "create", "bench", "--config", str(config), "--requests-per-minute", "9000000")
    done = subprocess.run(made, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, check=True)
    headers = {"authorization": f"Bearer {done.stdout.splitlines()[-1]}"}
    if setting.prepare:
        setting.prepare(home / "data")
    command = python(*(setting.inside or ("gateway",)), "serve", "--config", str(config))
    with Process(command, home, told) as process:
        started = process.started(port, "/health/ready")
        yield Peer(setting.name, origin, process, f"http://127.0.0.1:{port}/v1", headers, started)


_CONFIG = """
[server]
port = {port}
[upstream]
creates_per_minute = 10000000
requests_per_minute = 10000000
[limits]
requests_per_minute = 10000000
tokens_per_minute = 1000000000
calls_at_once = 5000
[log]
level = "info"
format = "json"
"""

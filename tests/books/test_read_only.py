"""Books or a data folder that cannot be written: a start says so, and a running gateway does what it can."""

import asyncio
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import open_gateway
from gateway.parts import Replicate
from gateway.simulator import Settings, Simulator
from gateway.store.tables import settlements
from tests.books.places import Immutable, place, unchangeable
from tests.books.test_books_away import MODELS, TALK, Served
from tests.opened import holds, listens, rows
from tests.served import ROOT

_DROP_CAPABILITY, _OVERRIDE_MODES, _READ_ANYTHING = 24, 1, 2


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


def as_anybody() -> None:
    """Modes of files mean something to root, too, from now on."""
    if os.getuid() == 0:
        for capability in (_OVERRIDE_MODES, _READ_ANYTHING):
            assert ctypes.CDLL(None).prctl(_DROP_CAPABILITY, capability, 0, 0, 0) == 0


def started(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """How a gateway ends that cannot start."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("REPLICATE_", "REPLIGATE_"))}
    told = {"REPLIGATE_DATA_DIR": str(folder), "REPLICATE_API_TOKEN": "r8_test", **environ}
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0"]
    return subprocess.run(
        command, cwd=ROOT, env={**clean, **told}, text=True, capture_output=True, timeout=60, preexec_fn=as_anybody
    )


def says(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="modes are made to count for root by Linux's means")
def test_a_start_in_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o500)
    says(started(folder), "state.folder", "cannot write in", str(folder))
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="modes are made to count for root by Linux's means")
@pytest.mark.parametrize("file", ["repligate.db", "repligate.lock"])
def test_a_start_on_a_file_that_cannot_be_written_says_so(tmp_path: Path, file: str) -> None:
    (tmp_path / file).touch(mode=0o400)
    says(started(tmp_path), "state.folder", "cannot write", str(tmp_path / file), "Permission denied")


def test_a_start_on_a_disk_that_is_read_only_says_so(tmp_path: Path) -> None:
    (tmp_path / "repligate.db").touch()
    unchangeable(tmp_path / "repligate.db")
    try:
        says(started(tmp_path), "state.folder", "cannot write", "Operation not permitted")
    finally:
        unchangeable(tmp_path / "repligate.db", on=False)


def test_a_start_on_a_database_that_only_reads_says_so(tmp_path: Path) -> None:
    with place("standby") as books:
        books.go()
        says(started(tmp_path, REPLIGATE__STATE__DATABASE=books.database), "state.database", "only reads")


@pytest.mark.parametrize("policy", ["refuse", "allow"])
async def test_where_the_disk_takes_nothing_at_all_calls_end_new_ones_are_refused_and_nothing_is_lost(
    simulated: Simulator, policy: str
) -> None:
    simulated.reset()
    simulated.scene("sim/slow", "slow", seconds=1)
    with place("immutable") as books:
        assert isinstance(books, Immutable)
        config: Any = books.config(models=MODELS, state={"when_down": policy})
        async with open_gateway(config, {}, Replicate(simulated.base_url, ("r8_test",))) as gateway:
            _, secret = await gateway.keys.create("known")
            async with listens(gateway) as url, (here := Served(gateway, url, secret)).client:
                asking = asyncio.create_task(here.client.chat.completions.create(model="priced", messages=TALK))
                await holds(simulated.predictions)
                books.go()
                unchangeable(books.folder)
                try:
                    reply = await here.fresh()
                    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable")
                    assert (await asking).choices[0].message.content
                    async with httpx.AsyncClient(base_url=url) as http:
                        assert (await http.get("/health/ready")).status_code == 200
                finally:
                    unchangeable(books.folder, on=False)
                books.come_back()
                # Recovery looks every 15 seconds at what could not be booked.
                async with asyncio.timeout(40):
                    while not (lines := await rows(gateway, settlements)):
                        await asyncio.sleep(0.1)
                (line,) = lines
                assert (line["prediction"], line["status"]) == (simulated.last().id, "succeeded")
                assert len(simulated.predictions()) == 1

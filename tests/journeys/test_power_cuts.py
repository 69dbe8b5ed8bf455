"""Power cuts, full disks: every copy of the data folder recovers, and a disk without room ends no call."""

import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from sqlalchemy import select

from gateway.simulator import Simulator
from gateway.store.tables import entries, settlements
from tests.books.lives import Life, configured
from tests.journeys.test_leaving import booked, still_open, until
from tests.served import Served

COPIES = 6


def talk(client: openai.OpenAI, words: str, *, stream: bool) -> None:
    """Each with words of its own, so that each prediction can be told from all others."""
    said: Any = client.chat.completions.create(
        model="sim/slow" if stream else "sim/echo", messages=[{"role": "user", "content": words}], stream=stream
    )
    if stream:
        list(said)


@contextmanager
def traffic(gateway: Served) -> Iterator[None]:
    """Calls without a pause, until the block ends."""
    over = threading.Event()

    def call(number: int) -> None:
        client = gateway.openai()
        for count in range(60):
            if over.is_set():
                return
            talk(client, f"alpha {number} {count}", stream=number % 2 == 0)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(3)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join(30)


def cut(gateway: Served, simulator: Simulator, copy: Path, *, torn: bool) -> set[str]:
    """What the disk holds while the process stands still, put elsewhere; gives the predictions there are by then."""
    process = gateway.process.pid
    os.kill(process, signal.SIGSTOP)
    until(lambda: Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    try:
        shutil.copytree(gateway.folder / "data", copy)
        made = {one.id for one in simulator.predictions()}
    finally:
        os.kill(process, signal.SIGCONT)
    if torn:
        # What was being written when the power went, and nobody was told is kept.
        with (copy / "repligate.db-wal").open("ab") as log:
            log.write(random.Random(7).randbytes(3000))
        (copy / "journal-torn.jsonl").write_bytes(b'{"type":"settled","entry":"ent_')
    return made


def test_whatever_a_power_cut_leaves_of_the_data_folder_opens_and_books_every_prediction_once(
    own_gateway: Served, own_simulator: Simulator, tmp_path: Path
) -> None:
    own_simulator.scene("sim/slow", "slow", seconds=0.1)
    chance, copies = random.Random(1), dict[Path, set[str]]()
    assert own_gateway.key
    with traffic(own_gateway):
        until(own_simulator.predictions)
        for number in range(COPIES):
            time.sleep(chance.uniform(0.02, 0.2))
            copies[tmp_path / f"copy{number}"] = cut(
                own_gateway, own_simulator, tmp_path / f"copy{number}", torn=number % 2 == 1
            )
    own_gateway.terminate()
    for folder, made in copies.items():
        life = Life(own_simulator, configured(folder))
        life.settle()
        ledger = life.gateway.ledger
        lines = life.do(ledger._store.read(lambda c: c.execute(select(settlements)).mappings().all()))
        opened = life.do(ledger._store.read(lambda c: c.execute(select(entries.c.id)).scalars().all()))
        assert made <= {line["prediction"] for line in lines}
        assert sorted(line["entry"] for line in lines) == sorted(opened)
        assert all(line["status"] == "succeeded" for line in lines if line["prediction"] in made)
        assert life.do(ledger.held()).entries == 0
        assert [life.do(ledger.differences(day)) for day in life.do(ledger.days())] == [[]]
        life.stop()


@pytest.mark.parametrize("room", [4096, 0], ids=["room for a journal", "no room at all"])
def test_a_disk_without_room_ends_no_call_and_forgets_no_cost(
    own_gateway: Served, own_simulator: Simulator, room: int
) -> None:
    own_simulator.scene("sim/slow", "slow", seconds=0.5)
    client = own_gateway.openai()
    talk(client, "alpha", stream=False)
    until(lambda: booked(own_gateway) == 1)
    process = own_gateway.process.pid
    _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
    stream = client.chat.completions.create(
        model="sim/slow", messages=[{"role": "user", "content": "alpha beta"}], stream=True
    )
    said = next(iter(stream)).choices[0].delta.content or ""
    # No file grows beyond this: to the process, the disk is full.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (room, most))
    try:
        said += "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
        assert said == "".join(own_simulator.last().output)
        with pytest.raises(openai.InternalServerError) as refused:
            talk(client, "gamma", stream=False)
        assert (refused.value.status_code, refused.value.code) == (503, "store_unavailable")
        assert len(own_simulator.predictions()) == 2
        with own_gateway.http() as http:
            assert http.get("/health/ready").status_code == 200
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (most, most))
    until(lambda: (still_open(own_gateway), booked(own_gateway)) == (0, 2), 30)
    talk(client, "delta", stream=False)
    until(lambda: booked(own_gateway) == 3)

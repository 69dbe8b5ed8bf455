"""What a gateway does by the clock goes on whatever one round meets, and no surprise of it is a secret."""

from pathlib import Path

import structlog

from gateway.recovery import sweep
from gateway.simulator import Simulator
from gateway.store.tables import entries, reservations
from tests.opened import holds, opened
from tests.spine.test_recovery import dies, one_line


async def test_one_entry_that_makes_no_sense_keeps_no_other_open(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    made = await dies(simulated, tmp_path, "sim/never-ends")
    assert made
    with structlog.testing.capture_logs() as logged:
        async with opened(simulated, tmp_path) as parts:
            broken = {
                "id": "ent_0",
                "call": "x",
                "seq": 0,
                "key": "k",
                "kind": "x",
                "model": "x",
                "ref": "no ref at all",
            }
            broken |= {"digest": "x", "deadline": 1, "created_at": 0, "day": 0, "tags": "[]"}
            await parts.ledger._store.write(lambda c: c.execute(entries.insert(), broken))
            lost = {"entry": "ent_0", "key": "k", "owner": "nobody"}
            await parts.ledger._store.write(lambda c: c.execute(reservations.insert(), lost))
            await sweep(parts)
            await holds(lambda: simulated.status(made.id) == "canceled")
            await parts.ledger._store.write(
                lambda c: c.execute(reservations.delete().where(reservations.c.entry == "ent_0"))
            )
            line = await one_line(parts)
    assert (line["prediction"], line["status"]) == (made.id, "canceled")
    assert "not recovered" in {line["event"] for line in logged if line["log_level"] == "error"}

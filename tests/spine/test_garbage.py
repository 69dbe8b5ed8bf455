"""What a call was made of goes when it is over: nothing waits for the collector of garbage."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.simulator import Simulator
from tests.opened import client_of, opened, settled

SAID = [{"role": "user", "content": "alpha beta"}]


@contextmanager
def uncollected() -> Iterator[Counter[str]]:
    """Counts our own objects that only the collector could find."""
    found = Counter[str]()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        names = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
        found.update(name for name in names if name.startswith(("gateway.", "adapters.")))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_a_call_leaves_no_garbage(simulator: Simulator, tmp_path: Path) -> None:
    async with opened(simulator, tmp_path) as gateway, client_of(gateway) as client:
        with uncollected() as found:
            for _ in range(3):
                await client.chat.completions.create(model="sim/echo", messages=SAID)  # type: ignore[arg-type]
                stream = await client.chat.completions.create(model="sim/echo", messages=SAID, stream=True)  # type: ignore[call-overload]
                assert [chunk async for chunk in stream]
            await settled(gateway)
    assert not found


async def test_nor_does_one_whose_client_leaves(simulator: Simulator, tmp_path: Path) -> None:
    simulator.scene("sim/echo", "slow", seconds=30, times=1)
    async with opened(simulator, tmp_path) as gateway, client_of(gateway) as client:
        with uncollected() as found:
            asking = client.chat.completions.create(model="sim/echo", messages=SAID, stream=True)  # type: ignore[call-overload]
            asked = asyncio.create_task(asking)
            await simulator.reached("processing")
            asked.cancel()
            await asyncio.wait([asked])
            assert [line["status"] for line in await settled(gateway)] == ["canceled"]
    assert not found

"""A client may leave at any await: the place of its call returns to its key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.accounts.rates import Estimate
from gateway.config import LimitsConfig
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import caller, opened, settled
from tests.spine.test_leaving_at_every_await import draws, fails, finishes, left_at, streams

MANY = 10**6


@pytest.fixture
async def limited(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    limits = dict.fromkeys(LimitsConfig.__struct_fields__, MANY)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.2}, limits=limits) as parts:
        yield parts


@pytest.mark.parametrize("work", [streams, finishes, fails, draws])
@pytest.mark.parametrize("ticks", [0, 15])
async def test_a_call_left_at_any_await_gives_its_place_back(limited: Gateway, work: Any, ticks: int) -> None:
    who, whole = await caller(limited), [0]
    await asyncio.create_task(left_at(work(limited, who), 0, 0, whole))
    for awaits in range(1, whole[0] + 1):
        calling = asyncio.create_task(left_at(work(limited, who), awaits, ticks, [0]))
        await asyncio.wait([calling], timeout=10)
    await settled(limited)
    limited.limits.defaults = LimitsConfig(calls_at_once=1)
    await limited.limits.admit(who.key, Estimate())

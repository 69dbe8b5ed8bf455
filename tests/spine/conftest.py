"""A simulated Replicate for a module, and a gateway in this process for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import opened


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    """Shared within a module; every test begins with it as new."""
    with Simulator(Settings(picture_seconds=0.01)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    """Impatient, so that nothing is tried again for long."""
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.3, "deadline_seconds": 5}) as parts:
        yield parts

"""A simulator per module, emptied for every test, and plain HTTP clients for it."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from gateway.simulator import Settings, Simulator
from tests.simulator.calls import Api

QUICK = Settings(
    boot_seconds=0.15, webhook_retry_seconds=(0.05, 0.05), webhook_throttle_seconds=0.2, training_seconds=0.04
)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    """The simulator that the tests of a module share."""
    with Simulator(QUICK) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    """A simulator without a past."""
    running.reset()
    return running


@pytest.fixture
def api(simulator: Simulator) -> Iterator[Api]:
    """An HTTP client that carries the token to the API and nowhere else."""
    with Api(simulator) as client:
        yield client


@pytest.fixture
def web() -> Iterator[httpx.Client]:
    """An HTTP client without a token."""
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def started() -> Iterator[Callable[[Settings], Api]]:
    """Starts simulators of a test's own and stops them afterwards."""
    open_: list[Api] = []

    def start(settings: Settings) -> Api:
        open_.append(Api(Simulator(settings).start()))
        return open_[-1]

    yield start
    for client in open_:
        client.close()
        client.simulator.stop()

"""What all tests share: a simulated Replicate and a real gateway in front of it, over real sockets."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.simulator import Settings, Simulator
from tests.served import ROOT, Served

IMPATIENT = {"REPLIGATE__UPSTREAM__RETRY_SECONDS": "0.5"}
"""What is throttled is soon given up. Not for tests that share a gateway: one throttles the token of all."""


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays: the tests that collect garbage need not walk through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """A local Replicate that quick tests share; tests that look at it whole start their own."""
    with Simulator(Settings(pace=2000)) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway with the shipped configuration, in front of the shared simulator."""
    config = (ROOT / "config.toml").read_text("utf-8")
    with Served(tmp_path_factory.mktemp("gateway"), simulator.base_url, config) as served:
        yield served


@pytest.fixture
def own_simulator() -> Iterator[Simulator]:
    """A local Replicate of this test's own."""
    with Simulator(Settings(pace=200)) as running:
        yield running


@pytest.fixture
def own_gateway(own_simulator: Simulator, tmp_path: Path) -> Iterator[Served]:
    """A gateway of this test's own, in front of its own simulator."""
    with Served(tmp_path, own_simulator.base_url, environ=IMPATIENT) as served:
        yield served

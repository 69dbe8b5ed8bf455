"""A pytest plugin: the fixture `replicate_simulator`, a local Replicate without a past for every test."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.simulator import Simulator


@pytest.fixture(scope="session")
def running_replicate_simulator() -> "Iterator[Simulator]":
    """The one simulator behind all tests of a session."""
    from gateway.simulator import Simulator  # noqa: PLC0415 - only tests that use the fixture pay for the import

    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def replicate_simulator(running_replicate_simulator: "Simulator", monkeypatch: pytest.MonkeyPatch) -> "Simulator":
    """A simulated Replicate that has forgotten earlier tests; the official clients find it by their environment."""
    simulator = running_replicate_simulator
    simulator.reset()
    monkeypatch.setenv("REPLICATE_API_TOKEN", simulator.token)
    monkeypatch.setenv("REPLICATE_BASE_URL", simulator.base_url.removesuffix("/v1"))
    monkeypatch.setenv("REPLICATE_API_BASE_URL", simulator.base_url)
    return simulator

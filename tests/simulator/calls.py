"""Short ways of saying what the tests ask of a simulator."""

import time
from collections.abc import Callable
from typing import Any

import httpx

from gateway.simulator import Simulator

FINAL = {"succeeded", "failed", "canceled", "aborted"}


class Api(httpx.Client):
    """A client of one simulator's API, its token included."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(
            base_url=simulator.base_url,
            headers={"Authorization": f"Bearer {simulator.token}"},
            trust_env=False,
            timeout=10,
        )
        self.simulator = simulator

    def create(self, model: str, headers: dict[str, str] | None = None, **inputs: Any) -> httpx.Response:
        """Create on an official model."""
        return self.post(f"/models/{model}/predictions", json={"input": inputs}, headers=headers)

    def run(self, model: str, **inputs: Any) -> dict[str, Any]:
        """Create on any model and return the final prediction."""
        version = self.get(f"/models/{model}").json()["latest_version"]["id"]
        created = self.post("/predictions", json={"version": version, "input": inputs})
        assert created.status_code == 201, created.text
        return self.final(created.json()["id"])

    def final(self, id: str) -> dict[str, Any]:
        """Wait until a prediction has ended and return it."""
        until(lambda: self.simulator.status(id) in FINAL)
        return dict(self.get(f"/predictions/{id}").json())


def until(claim: Callable[[], Any], within: float = 8.0) -> float:
    """Wait until something is so; return the seconds it took."""
    started = time.monotonic()
    while not claim():
        assert time.monotonic() - started < within, "it never came true"
        time.sleep(0.003)
    return time.monotonic() - started


def events(text: str) -> list[tuple[str, str, str]]:
    """Read server-sent events: name, id, data."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        fields = [line.partition(":") for line in lines]
        name, id = (
            [value.removeprefix(" ") for key, _, value in fields if key == wanted] for wanted in ("event", "id")
        )
        data = "\n".join(value.removeprefix(" ") for key, _, value in fields if key == "data")
        found.append((name[0], id[0], data))
    return found


def spoken(text: str) -> str:
    """Return the output of a stream, joined."""
    return "".join(data for name, _, data in events(text) if name == "output")

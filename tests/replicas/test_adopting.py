"""What a gateway leaves when it dies is ended and booked by another, once."""

import contextlib
import threading
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.journeys.test_leaving import until
from tests.replicas.shared import Redis, Replica, settled, still_open

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something long"}]
SOON = 20.0


def listen(gateway: Replica, model: str) -> None:
    """Asks and reads until the gateway ends, one way or the other."""
    with contextlib.suppress(openai.APIError):
        list(gateway.openai().chat.completions.create(model=model, messages=HELLO, stream=True))


@pytest.mark.slow
def test_what_a_killed_gateway_ran_is_ended_and_booked_once_by_another_while_its_own_calls_run_on(
    tmp_path: Path, own_simulator: Simulator, books: str, own_store: Redis
) -> None:
    one = Replica(tmp_path / "one", own_simulator.base_url, books, own_store.url)
    two = Replica(tmp_path / "two", own_simulator.base_url, books, own_store.url, key=one.key)
    with one, two:
        callers = [threading.Thread(target=listen, args=(one, "sim/never-ends")) for _ in range(3)]
        for caller in callers:
            caller.start()
        until(lambda: len(own_simulator.predictions()) == 3, SOON)
        with two.openai().chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True) as living:
            next(iter(living))
            mine = own_simulator.last().id
            until(lambda: still_open(books) == 4, SOON)
            one.kill()
            for caller in callers:
                caller.join(10)
            until(lambda: len(settled(books)) == 3, SOON)
            ends = {seen.id: seen.status for seen in own_simulator.predictions()}
            assert ends.pop(mine) == "processing"
            assert set(ends.values()) == {"canceled"}
            assert still_open(books) == 1
        until(lambda: still_open(books) == 0, SOON)
        lines = settled(books)
        assert {line["prediction"] for line in lines} == {seen.id for seen in own_simulator.predictions()}
        assert [line["error"] for line in lines].count("process_died") == 3

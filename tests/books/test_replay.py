"""The same traffic comes to the same sums, whether gateways die in the middle of it or none does."""

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from msgspec.structs import asdict

from gateway.accounts.budgets import Terms
from gateway.accounts.totals import By
from gateway.simulator import Settings, Simulator
from tests.books.lives import Asked
from tests.books.places import Place, place

MODELS = {
    "fast": {"model": "sim/echo", "price": {"per_million_input_tokens": 300.0, "per_million_output_tokens": 1000.0}},
    "slow": {"model": "sim/slow", "price": {"per_million_output_tokens": 1000.0}},
    "picture": {"model": "sim/picture", "price": {"per_image": 0.003}},
}
TALK = {"messages": [{"role": "user", "content": "alpha beta gamma"}]}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("/v1/chat/completions", {**TALK, "model": "fast"}),
    "stream": ("/v1/chat/completions", {**TALK, "model": "slow", "stream": True}),
    "two": ("/v1/chat/completions", {**TALK, "model": "fast", "n": 2}),
    "pictures": ("/v1/images/generations", {"model": "picture", "prompt": "a kite", "n": 2, "size": "256x256"}),
}
BYS: tuple[By, ...] = ("key", "team", "model", "tag", "day")


class Traffic:
    """Calls, one after another, on one set of books. Each may be the death of its gateway, at a moment of its own."""

    def __init__(self, simulator: Simulator, books: Place) -> None:
        self.simulator, self.books = simulator, books
        simulator.reset()
        self.config = books.config(models=MODELS)
        self.life = books.life(simulator, self.config)
        self.life.do(self.life.gateway.teams.create("crew"))
        self.secrets = [self._key("one", ("nightly",)), self._key("two", ("nightly", "eval"))]
        self.life.do(self.life.gateway.budgets.set(Terms(scope="everyone", period="total", hard=10_000_000)))

    def _key(self, name: str, tags: tuple[str, ...]) -> str:
        # What was created goes on to its end, whoever dies: so each call comes to the same.
        made = self.life.gateway.keys.create(name, team="crew", tags=tags, leave="detach")
        return self.life.do(made)[1]

    def call(self, number: int, way: str, fate: Callable[["Traffic", Asked], None]) -> None:
        path, body = WAYS[way]
        self.made = len(self.simulator.predictions()) + (2 if way == "two" else 1)
        headers = {"authorization": f"Bearer {self.secrets[number % 2]}", "x-repligate-tags": way}
        fate(self, self.life.ask(path, body, headers))
        self.life.settle()

    def until(self, claim: Callable[[], object]) -> None:
        """Turn by turn, so that the gateway knows no more than it must."""
        for _ in range(20_000):
            if claim():
                return
            self.life.turn(1)
        raise AssertionError("the moment to die at never came")

    @property
    def booked(self) -> bool:
        """Nothing is to be told of any call, but to the books where these are away."""
        return not self.life.gateway.running

    def ended(self) -> None:
        """All that was created has ended at Replicate; the gateway's loop stands still meanwhile."""
        while any(one.status not in {"succeeded", "failed"} for one in self.simulator.predictions()):
            time.sleep(0.002)

    def die(self) -> None:
        self.life.drop_dead()
        self.start()

    def start(self) -> None:
        self.books.come_back()
        self.ended()
        self.life = self.books.life(self.simulator, self.config)

    def sums(self) -> dict[str, Any]:
        """All that is told of it, but for the time it took."""
        ledger, budgets = self.life.gateway.ledger, self.life.gateway.budgets
        told: dict[str, Any] = {}
        for by in BYS:
            lines = [asdict(line) for line in self.life.do(ledger.usage(by))]
            told[by] = sorted(
                ({n: v for n, v in line.items() if n not in {"seconds", "subject"}} for line in lines), key=str
            )
        told["budgets"] = [(each.spent, each.reserved) for each in self.life.do(budgets.list())]
        return told


def lives(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: asked.over and traffic.booked)


def dies_before_replicate_answers(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: len(traffic.simulator.predictions()) == traffic.made)
    traffic.die()


def dies_while_it_speaks(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: asked.said)
    traffic.die()


def dies_when_all_has_ended_and_nothing_is_booked(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: len(traffic.simulator.predictions()) == traffic.made)
    traffic.ended()
    traffic.die()


def dies_as_soon_as_it_has_answered(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: asked.over)
    assert asked.status == 200
    assert asked.whole
    traffic.die()


def dies_with_its_bookings_in_the_journal(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: len(traffic.simulator.predictions()) == traffic.made)
    traffic.books.go()
    traffic.until(lambda: asked.over and traffic.booked)
    assert asked.status == 200
    assert asked.whole
    traffic.die()


def is_replaced_while_the_books_are_away(traffic: Traffic, asked: Asked) -> None:
    traffic.until(lambda: len(traffic.simulator.predictions()) == traffic.made)
    traffic.books.go()
    traffic.until(lambda: asked.over)
    traffic.life.stop()
    traffic.start()


FATES = (
    dies_before_replicate_answers,
    dies_while_it_speaks,
    dies_when_all_has_ended_and_nothing_is_booked,
    dies_as_soon_as_it_has_answered,
    dies_with_its_bookings_in_the_journal,
    is_replaced_while_the_books_are_away,
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_traffic_with_crashes_comes_to_the_same_sums_as_without(kind: str) -> None:
    sums = []
    with Simulator(Settings(picture_seconds=0.01)) as simulator:
        simulator.switch(metrics_delay=0.0)
        for crashes in (False, True):
            with place(kind) as books:
                traffic = Traffic(simulator, books)
                simulator.scene("sim/slow", "slow", seconds=0.05)
                for number, (way, fate) in enumerate(product(WAYS, FATES)):
                    traffic.call(number, way, fate if crashes else lives)
                sums.append(traffic.sums())
                traffic.life.stop()
    calm, stormy = sums
    assert calm["budgets"][0][0] > 0
    assert stormy == calm

"""Whatever happens in whatever order: every prediction is booked once, and the books add up.

A history is drawn by hypothesis from requests, departures, deadlines, crashes, restarts and losses of the database.
How many, of up to 40 steps each, `REPLIGATE_TEST_HISTORIES` says; `pytest -rP` then tells what they held:

    REPLIGATE_TEST_HISTORIES=100 .venv/bin/python -m pytest -rP tests/books/test_any_history.py
"""

import os
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import func, select

from gateway.accounts.budgets import Terms
from gateway.simulator import Settings, Simulator
from gateway.simulator.life import stop
from gateway.simulator.seen import Seen
from gateway.store.tables import entries, settlements, tag_totals, totals
from tests.books.lives import Asked, Life
from tests.books.places import place

HISTORIES = int(os.environ.get("REPLIGATE_TEST_HISTORIES", "4"))
STEPS = 40

PLAYED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "quick": ("sim/echo", "echo", {}),
    "slow": ("sim/slow", "slow", {"seconds": 0.1}),
    "queued": ("meta/meta-llama-3-8b-instruct", "queue", {"queued": 0.05}),
    "cold": ("sim/cold-boot", "cold-boot", {"boot": 0.05}),
    "endless": ("sim/never-ends", "never-ends", {"pause": 0.01}),
    "failing": ("sim/fails-midway", "fails-midway", {}),
    "broken": ("sim/cut-stream", "cut-stream", {}),
    "throttled": ("sim/throttled", "throttled", {}),
    "unanswered": ("ibm-granite/granite-3.1-8b-instruct", "dropped-created", {}),
    "stalled": ("mistralai/mistral-7b-instruct-v0.2", "stalled-created", {}),
    "lost": ("meta/meta-llama-3-70b-instruct", "created-but-504", {}),
}
"""How a model behaves: its ref, and the scene it shows."""

MODELS = {
    **{name: {"model": ref, "price": {"per_million_output_tokens": 1000.0}} for name, (ref, *_) in PLAYED.items()},
    "unpriced": {"model": "sim/reasoning"},
    "picture": {"model": "sim/picture", "price": {"per_image": 0.003}},
}
FINAL = {"succeeded", "failed", "canceled", "aborted"}
NOT_ANSWERED = {"process_died", "client_left", "shutting_down"}
"""How an entry ends whose client was told nothing that could be told again."""

chats = st.sampled_from([name for name in MODELS if name != "picture"])
keys = st.sampled_from(["cancel", "drain", "detach"])
turns = st.sampled_from([0, 1, 3, 10, 30, 60])


class History(RuleBasedStateMachine):
    """One set of books, and what happens to it."""

    kind = "sqlite"
    simulator: Simulator
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.place = self.stack.enter_context(place(self.kind))
        self.simulator.reset()
        self.simulator.clear_scenes()
        for ref, scene, changes in PLAYED.values():
            self.simulator.scene(ref, scene, **changes)
        self.config = self.place.config(models=MODELS)
        self.died_at, self.asked = list[float](), list[Asked]()
        self.life: Life | None = None
        self.secrets: dict[str, str] = {}
        self.restart()
        self.open_accounts()

    def open_accounts(self) -> None:
        parts = self.alive.gateway
        self.alive.do(parts.teams.create("crew"))
        for leave in ("cancel", "drain", "detach"):
            made = parts.keys.create(leave, team="crew", tags=("all", leave), leave=leave)  # type: ignore[arg-type]
            self.secrets[leave] = self.alive.do(made)[1]
        for terms in (
            Terms(scope="everyone", period="total", soft=1_000),
            Terms(scope="team", subject="crew", period="month", hard=10_000_000),
            Terms(scope="key", subject="cancel", period="total", hard=120_000),
            Terms(scope="model", subject="sim/*", period="day", hard=10_000_000),
        ):
            self.alive.do(parts.budgets.set(terms))

    @property
    def alive(self) -> Life:
        assert self.life
        return self.life

    @property
    def going(self) -> list[Seen]:
        return [one for one in self.simulator.predictions() if one.status not in FINAL]

    @property
    def asking(self) -> list[Asked]:
        return [each for each in self.life.asked if not each.over] if self.life else []

    # What may happen next must follow from what was done, and not from how far it has come by now: hypothesis tells two
    # histories that begin alike from each other by that.
    living = precondition(lambda self: self.life)
    dead = precondition(lambda self: not self.life)
    at_home = precondition(lambda self: not self.place.away)

    @living
    @rule(model=chats, key=keys, stream=st.booleans(), n=st.sampled_from([1, 1, 2]), word=st.integers(0, 2), go=turns)
    def a_chat(self, model: str, key: str, stream: bool, n: int, word: int, go: int) -> None:
        self.ask("/v1/chat/completions", key, talk(model, f"alpha {word}", stream=stream, n=n))
        self.alive.turn(go)

    @living
    @rule(asked=st.lists(st.tuples(chats, keys, st.booleans()), min_size=2, max_size=6), apart=turns, go=turns)
    def many_chats(self, asked: list[tuple[str, str, bool]], apart: int, go: int) -> None:
        for number, (model, key, stream) in enumerate(asked):
            self.ask("/v1/chat/completions", key, talk(model, f"many {number}", stream=stream, n=1))
            self.alive.turn(apart)
        self.alive.turn(go)

    @living
    @rule(key=keys, n=st.integers(1, 3), go=turns)
    def pictures(self, key: str, n: int, go: int) -> None:
        self.ask("/v1/images/generations", key, {"model": "picture", "prompt": "a kite", "n": n, "size": "256x256"})
        self.alive.turn(go)

    @living
    @rule(name=st.integers(0, 2), model=st.sampled_from(["slow", "queued", "endless", "quick"]), go=turns)
    def an_intent(self, name: int, model: str, go: int) -> None:
        """Asked for again and again by the same name, at the same time or later."""
        body = talk(model, f"intent {name} {model}", stream=False, n=1)
        self.ask("/v1/chat/completions", "cancel", body, {"idempotency-key": f"{name} {model}"})
        self.alive.turn(go)

    @living
    @rule(which=st.integers(0, 50), go=turns)
    def a_client_leaves(self, which: int, go: int) -> None:
        if asking := self.asking:
            asking[which % len(asking)].leave()
        self.alive.turn(go)

    @living
    @rule(seconds=st.sampled_from([0.005, 0.02, 0.1]))
    def time_passes(self, seconds: float) -> None:
        if self.asking:
            self.alive.wait(lambda: False, seconds)

    @living
    @rule(go=turns)
    def a_stream_begins(self, go: int) -> None:
        if self.asking:
            self.alive.wait(lambda: any(each.said and not each.over for each in self.alive.asked), 0.1)
        self.alive.turn(go)

    @precondition(lambda self: self.died_at and self.life)
    @rule(go=turns)
    def what_was_left_is_looked_for(self, go: int) -> None:
        self.alive.recover()
        self.alive.turn(go)

    @rule()
    def deadlines_pass(self) -> None:
        if self.going:
            self.simulator.advance(6)

    @rule(which=st.integers(0, 50))
    def somebody_else_cancels(self, which: int) -> None:
        going = [one for one in self.simulator.predictions() if one.status not in FINAL]
        if going:
            chosen = going[which % len(going)].id

            self.simulator._ask(lambda world: stop(world, world.predictions.find(chosen), "canceled"))

    @living
    @at_home
    @rule()
    def the_books_go(self) -> None:
        self.tally["losses of the books"] += 1
        self.place.go()

    @precondition(lambda self: self.place.away)
    @rule()
    def the_books_come_back(self) -> None:
        self.place.come_back()

    @living
    @rule(go=turns)
    def a_crash(self, go: int) -> None:
        self.alive.turn(go)
        self.alive.drop_dead()
        self.life = None
        self.tally["crashes"] += 1
        self.died_at.append(self.simulator._ask(lambda world: world.clock.now()))

    @living
    @at_home
    @rule()
    def a_rolling_restart(self) -> None:
        self.alive.stop()
        self.restart()

    @dead
    @rule()
    def a_start(self) -> None:
        self.restart()

    @rule()
    def all_comes_to_rest(self) -> None:
        if self.life is None:
            self.restart()
        if self.place.away:
            self.the_books_come_back()
        self.alive.settle()
        self.check()

    @invariant()
    def nothing_is_free_of_a_deadline(self) -> None:
        self.tally["steps"] += 1
        assert all(one.deadline for one in self.simulator.predictions())

    def teardown(self) -> None:
        try:
            self.all_comes_to_rest()
            self.tally["predictions"] += len(self.simulator.predictions())
            self.alive.stop()
        finally:
            self.stack.close()

    def restart(self) -> None:
        if self.place.away:
            self.the_books_come_back()
        self.life = self.place.life(self.simulator, self.config)

    def ask(self, path: str, key: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Asked:
        self.tally["calls"] += 1
        asked = self.alive.ask(path, body, {"authorization": f"Bearer {self.secrets[key]}", **(headers or {})})
        self.asked.append(asked)
        return asked

    def check(self) -> None:
        made = self.simulator.predictions()
        assert {one.status for one in made} <= FINAL
        booked = self.rows(select(settlements))
        assert sorted(filter(None, (row["prediction"] for row in booked))) == sorted(one.id for one in made)
        assert sorted(row["entry"] for row in booked) == sorted(row["id"] for row in self.rows(select(entries)))
        held = self.alive.do(self.alive.gateway.ledger.held())
        assert (held.entries, held.amount) == (0, 0)
        self.check_sums(booked)
        self.check_intents(made, {row["prediction"]: row for row in booked})
        assert all(each.status != 401 for each in self.asked), "no key is wrong"
        for each in self.asked:
            assert b'"internal_error"' not in each.said, each.said

    def check_sums(self, booked: list[Any]) -> None:
        parts = self.alive.gateway
        spent = sum(row["cost"] or 0 for row in booked)
        assert self.rows(select(func.coalesce(func.sum(totals.c.cost), 0).label("sum"))) == [{"sum": spent}]
        tagged = select(func.coalesce(func.sum(tag_totals.c.cost), 0).label("sum")).where(tag_totals.c.tag == "all")
        assert self.rows(tagged) == [{"sum": spent}]
        for day in self.alive.do(parts.ledger.days()):
            assert self.alive.do(parts.ledger.differences(day)) == []
        assert all(each.right for each in self.alive.do(parts.budgets.check()))
        # What nobody knows the cost of counts for what was held.
        reserved = {row["id"]: row["reserved"] or 0 for row in self.rows(select(entries))}
        counted = sum(reserved[row["entry"]] if row["cost"] is None else row["cost"] for row in booked)
        budgets = self.alive.do(parts.budgets.list())
        assert all(each.reserved == 0 for each in budgets)
        assert [each.spent for each in budgets if each.scope == "everyone"] == [counted]

    def check_intents(self, made: list[Seen], booked: dict[str, Any]) -> None:
        intents = Counter(str(one.input) for one in made if "intent" in str(one.input))
        for intent in intents:
            its = [one for one in made if str(one.input) == intent]
            for one, another in pairwise(its):
                ended = one.completed or float("inf")
                assert ended <= another.created, "two predictions of an intent run at once"
                died = any(one.created <= at <= another.created for at in self.died_at)
                assert died or booked[one.id]["error"] in NOT_ANSWERED, "an intent that was answered runs again"

    def rows(self, query: Any) -> list[Any]:
        store = self.alive.gateway.ledger._store
        return [dict(row) for row in self.alive.do(store.read(lambda c: c.execute(query).mappings().all()))]


def talk(model: str, words: str, *, stream: bool, n: int) -> dict[str, Any]:
    return {"model": model, "n": n, "stream": stream, "messages": [{"role": "user", "content": words}]}


@pytest.mark.timeout(120 + 30 * HISTORIES)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_whatever_happens_every_prediction_is_booked_once_and_the_books_add_up(kind: str) -> None:
    tally = Counter[str]()
    with Simulator(Settings(picture_seconds=0.01)) as simulator:
        on = type("History", (History,), {"kind": kind, "simulator": simulator, "tally": tally})
        run_state_machine_as_test(
            on,
            settings=settings(
                max_examples=HISTORIES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],  # what depends on moments cannot be made smaller by trying again
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(kind, dict(tally))

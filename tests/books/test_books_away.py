"""The database goes while calls run: who was admitted is served and booked, who comes is told 503, and it heals itself.

Other gateways end every call with their database, answer 401 because keys cannot be looked up, leave the load balancer
without a replica, or forget what was spent meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import openai
import psycopg
import pytest
from sqlalchemy import select

from gateway.app import open_gateway
from gateway.errors import StoreError
from gateway.parts import Gateway, Replicate
from gateway.simulator import Settings, Simulator
from gateway.store.sql import Store
from gateway.store.tables import settlements
from tests.books.places import Place, place
from tests.gateway.store.books import POSTGRES
from tests.opened import holds, listens, rows

MODELS = {
    "priced": {"model": "sim/slow", "price": {"per_million_output_tokens": 1000.0}},
    "picture": {"model": "sim/picture", "price": {"per_image": 0.003}},
}
TALK: list[Any] = [{"role": "user", "content": "alpha beta gamma"}]
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql", "immutable", "standby"])


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=0.3)) as running:
        yield running


class Served:
    """A gateway, its address, and official clients of it."""

    def __init__(self, gateway: Gateway, url: str, secret: str) -> None:
        self.gateway, self.url = gateway, url
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0)

    async def fresh(self, secret: str = "") -> httpx.Response:
        """The answer to a new call, with a key that is known or another."""
        headers = {"authorization": f"Bearer {secret or self.client.api_key}"}
        async with httpx.AsyncClient(base_url=self.url, timeout=30, headers=headers) as http:
            return await http.post("/v1/chat/completions", json={"model": "priced", "messages": TALK})

    async def ready(self) -> tuple[int, Any]:
        async with httpx.AsyncClient(base_url=self.url) as http:
            reply = await http.get("/health/ready")
            return reply.status_code, reply.json()


@asynccontextmanager
async def served(books: Place, simulated: Simulator, when_down: str = "refuse") -> AsyncIterator[Served]:
    simulated.reset()
    simulated.scene("sim/slow", "slow", seconds=0.3)
    config = books.config(models=MODELS, state={"when_down": when_down})
    async with open_gateway(config, {}, Replicate(simulated.base_url, ("r8_test",))) as gateway:
        await books.hurried(gateway)
        _, secret = await gateway.keys.create("known")
        async with listens(gateway) as url:
            here = Served(gateway, url, secret)
            async with here.client:
                yield here


async def healed(here: Served, books: Place) -> None:
    """The books are back, and all that the journal held is in them."""
    books.come_back()
    await holds(lambda: not here.gateway.ledger.journaled, 20)
    assert (await here.gateway.ledger.held()).entries == 0


@KINDS
async def test_a_stream_that_was_admitted_ends_as_if_nothing_had_happened_and_is_booked_once(
    simulated: Simulator, kind: str
) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            stream = await here.client.chat.completions.create(model="priced", messages=TALK, stream=True)
            said = []
            async for chunk in stream:
                if not books.away:
                    books.go()
                said += [choice.delta.content or "" for choice in chunk.choices]
            assert "".join(said) == "".join(simulated.last().output)
            await holds(lambda: here.gateway.ledger.journaled)
            status, told = await here.ready()
            assert (status, told["books"]) == (200, "away")
            await healed(here, books)
            (line,) = await rows(here.gateway, settlements)
            assert (line["prediction"], line["status"]) == (simulated.last().id, "succeeded")
            assert line["cost"] == line["tokens_out"] * 1000 > 0


async def says(here: Served, word: str) -> None:
    """It says so of its books, sooner or later, and nothing waits for them."""
    async with asyncio.timeout(20):
        while (told := (await here.ready())[1])["books"] != word:
            await asyncio.sleep(0.05)
    assert told["journaled"] == 0


@KINDS
async def test_a_gateway_that_has_journaled_nothing_says_that_its_books_are_away_until_they_are_back(
    simulated: Simulator, kind: str
) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            await says(here, "open")
            books.go()
            assert (await here.fresh()).status_code == 503
            for _ in range(30):
                assert (await here.ready())[1]["books"] == "away"
                await asyncio.sleep(0.05)
            books.come_back()
            await says(here, "open")


async def test_a_read_that_fails_tells_that_the_books_are_away() -> None:
    with place("postgresql") as books:
        store = Store.open(books.config())
        try:
            await store.read(lambda connection: connection.scalar(select(1)))
            books.go()
            with pytest.raises(StoreError):
                await store.read(lambda connection: connection.scalar(select(1)))
            assert store.away
            books.come_back()
            await store.probe()
            assert not store.away
        finally:
            store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_gateway_of_which_nobody_asks_anything_finds_out_that_its_books_are_away(
    simulated: Simulator, kind: str
) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            books.go()
            await says(here, "away")


@KINDS
async def test_pictures_that_were_admitted_are_sent_and_booked_once(simulated: Simulator, kind: str) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            ask = here.client.images.generate
            asking = asyncio.create_task(ask(model="picture", prompt="a kite", response_format="b64_json"))
            await holds(simulated.predictions)
            books.go()
            reply = await asking
            assert reply.data
            assert reply.data[0].b64_json
            await holds(lambda: here.gateway.ledger.journaled)
            await healed(here, books)
            (line,) = await rows(here.gateway, settlements)
            assert (line["prediction"], line["cost"], line["images"]) == (simulated.last().id, 3000, 1)


@KINDS
async def test_new_calls_are_refused_before_money_and_nobody_is_told_that_a_key_is_wrong(
    simulated: Simulator, kind: str
) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            assert (await here.fresh()).status_code == 200
            _, unseen = await here.gateway.keys.create("never asked yet")
            made = len(simulated.predictions())
            books.go()
            # SQLite can be read while another writes: there, a key that is none is known to be none.
            for secret in ("", unseen, *(["sk-rg-who-knows"] if kind == "postgresql" else [])):
                reply = await here.fresh(secret)
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable")
                assert reply.headers["retry-after"]
            assert len(simulated.predictions()) == made
            assert (await here.ready())[0] == 200
            await healed(here, books)
            assert (await here.fresh()).status_code == 200


@KINDS
async def test_by_policy_new_calls_are_served_and_booked_once_when_the_books_are_back(
    simulated: Simulator, kind: str
) -> None:
    with place(kind) as books:
        async with served(books, simulated, "allow") as here:
            assert (await here.fresh()).status_code == 200
            books.go()
            assert [(await here.fresh()).status_code for _ in range(2)] == [200, 200]
            await holds(lambda: here.gateway.ledger.journaled >= 6)
            await healed(here, books)
            booked = await rows(here.gateway, settlements)
            assert sorted(line["prediction"] for line in booked) == sorted(one.id for one in simulated.predictions())
            assert len(booked) == 3
            (total,) = await here.gateway.ledger.usage("model")
            assert (total.calls, total.cost) == (3, sum(line["cost"] for line in booked))


@KINDS
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "once all is in the books"])
async def test_an_intent_that_was_answered_while_the_books_were_away_is_not_run_again(
    simulated: Simulator, kind: str, waits: bool
) -> None:
    with place(kind) as books:
        async with served(books, simulated) as here:
            ask = here.client.chat.completions.with_raw_response.create
            named = {"idempotency-key": "once"}
            asking = asyncio.create_task(ask(model="priced", messages=TALK, extra_headers=named))
            await holds(simulated.predictions)
            books.go()
            first = await asking
            await healed(here, books)
            if waits:
                await holds(lambda: not here.gateway.intents._unkept)
            again = await ask(model="priced", messages=TALK, extra_headers=named)
            assert again.headers["x-repligate-replayed"] == "true"
            assert again.parse() == first.parse()
            assert len(simulated.predictions()) == 1


async def test_what_was_opened_while_the_word_of_it_was_lost_is_settled_and_holds_nothing(simulated: Simulator) -> None:
    """PostgreSQL has committed, and its answer has not arrived: the client is refused, and the entry is there."""
    with place("postgresql") as books, slow_commits(books) as commits:
        async with served(books, simulated) as here:
            asking = asyncio.create_task(here.fresh())
            await holds(commits, 20)
            books.go()
            assert (await asking).status_code == 503
            books.come_back()
            await holds(lambda: not commits(), 20)
            async with asyncio.timeout(20):
                while not (booked := await rows(here.gateway, settlements)):
                    await asyncio.sleep(0.05)
            held = await here.gateway.ledger.held()
    assert [(line["status"], line["error"], line["cost"]) for line in booked] == [
        ("never created", "store_unavailable", 0)
    ]
    assert (held.entries, held.amount) == (0, 0)
    assert simulated.predictions() == []


@contextmanager
def slow_commits(books: Place) -> Iterator[Callable[[], bool]]:
    """A transaction that opens an entry takes a second to commit, once it was told to; gives whether one does now."""
    schema = books.database.rpartition("%3D")[2]
    slow = f"""
        CREATE FUNCTION {schema}.slow() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {schema}.entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION {schema}.slow()
    """
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query ILIKE 'commit%'"
    Store.open(books.config()).close()
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(slow)  # type: ignore[call-overload]

        def one() -> bool:
            row = connection.execute(asleep).fetchone()
            return bool(row and row[0])

        yield one

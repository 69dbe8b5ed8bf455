"""Two gateways while what they share goes away and comes back, while they race, and while they are replaced."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Settings, Simulator
from tests.journeys.test_leaving import until
from tests.replicas.shared import Redis, Replica, cut_off, database, issued, own_redis, requests, settled, still_open

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something"}]
SOON = 30.0
PATIENT = {"REPLIGATE__SERVER__DRAIN_SECONDS": "30"}
PRICED = '[models.dear]\nmodel = "sim/echo"\nprice = { per_run = 1.0 }\n'


class Pair(NamedTuple):
    one: Replica
    two: Replica
    upstream: Simulator
    books: str
    store: Redis


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("trouble")
    with database() as books, own_redis(folder) as store, Simulator(Settings(pace=2000)) as upstream:
        one = Replica(folder / "one", upstream.base_url, books, store.url, PRICED, PATIENT)
        with one, Replica(folder / "two", upstream.base_url, books, store.url, PRICED, PATIENT, one.key) as two:
            yield Pair(one, two, upstream, books, store)


def standing(of: Replica) -> str:
    return str(httpx.get(f"{of.url}/health/ready", timeout=30).json()["limits"])


@pytest.mark.slow
def test_without_redis_calls_go_on_and_limits_are_shared_again_when_it_is_back(pair: Pair) -> None:
    key = issued(pair.books, "ten", requests_per_minute=10)
    clients = [each.openai(key) for each in pair[:2]]
    until(lambda: [httpx.get(f"{each.url}/health/ready").json()["replicas"] for each in pair[:2]] == [2, 2], SOON)
    pair.store.kill()
    told = clients[0].chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)
    assert told.headers["x-ratelimit-limit-requests"] == "5"
    until(lambda: {standing(each) for each in pair[:2]} == {"own share"}, SOON)
    told_of = pair.one.output.count("shared store is away")
    assert told_of
    clients[0].chat.completions.create(model="sim/echo", messages=HELLO)
    assert pair.one.output.count("shared store is away") == told_of, "once, and not with every call"
    pair.store.start()
    until(lambda: {standing(each) for each in pair[:2]} == {"shared"}, SOON)
    told = clients[0].chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)
    assert told.headers["x-ratelimit-limit-requests"] == "10"


@pytest.mark.slow
def test_calls_go_on_while_every_connection_to_postgresql_is_cut_again_and_again(pair: Pair) -> None:
    streams = [
        each.openai().chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True) for each in pair[:2]
    ]
    for stream in streams:
        next(iter(stream))
    mine = {seen.id for seen in pair.upstream.predictions() if seen.status == "processing"}
    assert len(mine) == 2
    until_then = time.monotonic() + 4
    while time.monotonic() < until_then:
        cut_off(pair.books)
        time.sleep(0.2)
    time.sleep(2)
    assert {pair.upstream.status(id) for id in mine} == {"processing"}, "nobody took over what others run"
    for stream in streams:
        next(iter(stream))
        stream.close()
    until(lambda: still_open(pair.books) == 0, SOON)
    assert mine <= {line["prediction"] for line in settled(pair.books)}


@pytest.mark.slow
def test_racing_through_two_gateways_spends_no_more_than_the_budget(pair: Pair) -> None:
    key = issued(pair.books, "poor")
    pair.one.command("budgets", "set", "--key", "poor", "--period", "total", "--hard", "10")
    clients = [each.openai(key, timeout=60) for each in pair[:2]]

    def spend(number: int) -> bool:
        with contextlib.suppress(openai.RateLimitError):
            clients[number % 2].chat.completions.create(model="dear", messages=HELLO)
            return True
        return False

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(spend, range(40))) == 10


@pytest.mark.slow
def test_an_idempotency_key_makes_one_prediction_through_whichever_gateway(pair: Pair) -> None:
    before = len(pair.upstream.predictions())
    named = {"Idempotency-Key": "once"}

    def ask(number: int) -> str:
        """The completion's id."""
        client = (pair.one, pair.two)[number % 2].openai()
        return client.chat.completions.create(model="sim/echo", messages=HELLO, extra_headers=named).id

    with ThreadPoolExecutor(6) as threads:
        told = set(threads.map(ask, range(6)))
    assert len(told) == 1
    assert {ask(0), ask(1)} == told
    assert len(pair.upstream.predictions()) == before + 1


@pytest.mark.slow
def test_an_sdks_retry_at_the_other_gateway_makes_no_second_prediction(pair: Pair) -> None:
    before = len(pair.upstream.predictions())
    body = {"model": "sim/slow", "messages": HELLO}
    headers = {"authorization": f"Bearer {pair.one.key}", "x-stainless-read-timeout": "1"}

    def ask(gateway: Replica, attempt: int, timeout: float) -> httpx.Response:
        told = {**headers, "x-stainless-retry-count": str(attempt)}
        return httpx.post(f"{gateway.base_url}/chat/completions", json=body, headers=told, timeout=timeout)

    pair.upstream.scene("sim/slow", "slow", seconds=8)
    with pytest.raises(httpx.ReadTimeout):
        ask(pair.one, 4, 1.2)  # whoever has tried so often is waited for longest
    time.sleep(0.5)  # as SDKs do, too
    answer, again = ask(pair.two, 5, 60), ask(pair.one, 6, 60)
    assert (answer.status_code, again.status_code) == (200, 200)
    assert answer.json() == again.json()
    assert len(pair.upstream.predictions()) == before + 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rolling_restart_under_load_loses_nothing(pair: Pair) -> None:
    """Every line in the books is one client's answer, by the id of its request, and nothing was made beside those.

    What was answered before this may be settled after its reply; and a gateway that is to stop gives its calls longer
    here than even a busy machine needs, for one that it interrupts is booked without an answer.
    """
    until(lambda: still_open(pair.books) == 0, SOON)
    booked, made = set(requests(pair.books)), {seen.id for seen in pair.upstream.predictions()}
    load = Load([pair.one, pair.two])
    with load:
        for replica in (pair.one, pair.two):
            load.goes_on()
            replica.terminate(60)
            replica.start()
        load.goes_on()
    assert load.failures == []
    until(lambda: still_open(pair.books) == 0, SOON)
    lines = {entry: line for entry, line in requests(pair.books).items() if entry not in booked}
    assert sorted(line["request"] for line in lines.values()) == sorted(load.done)
    assert {line["status"] for line in lines.values()} == {"succeeded"}
    new = [seen.id for seen in pair.upstream.predictions() if seen.id not in made]
    assert sorted(line["prediction"] for line in lines.values()) == sorted(new)


class Load:
    """Clients that ask one gateway after the other, as a proxy does: the next one, where one refuses or is gone.

    `done` has the ids of the requests that were answered.
    """

    def __init__(self, replicas: list[Replica]) -> None:
        self.replicas, self.failures, self.done = replicas, list[BaseException](), list[str]()
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._work, args=(number,)) for number in range(3)]

    def goes_on(self) -> None:
        so_far = len(self.done)
        until(lambda: len(self.done) > so_far + 3, SOON)

    def __enter__(self) -> None:
        for client in self._clients:
            client.start()

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join(30)

    def _work(self, number: int) -> None:
        while not self._stop.is_set():
            number += 1
            try:
                chats = self.replicas[number % 2].openai().chat.completions
                reply = chats.with_raw_response.create(model="sim/echo", messages=HELLO)
                assert reply.parse().choices[0].finish_reason == "stop"
                self.done.append(reply.headers["x-request-id"])
            except openai.APIError as refused:
                if not _sent_on(refused):
                    self.failures.append(refused.__cause__ or refused)
                time.sleep(0.05)


def _sent_on(refused: openai.APIError) -> bool:
    """Whether nothing can have been begun: the gateway is not there, or says at the door that it is leaving. It says
    nearly the same to those that it could not finish, and then it has begun."""
    turned_away = refused.code == "shutting_down" and "could not be finished" not in refused.message
    return turned_away or "Connect" in type(refused.__cause__).__name__

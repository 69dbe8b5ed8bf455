"""Two gateways on the same books are one to their clients."""

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
from tests.replicas.shared import Replica, database, issued, keys_of, own_redis

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
PATIENT = {"REPLIGATE__SHARED__PATIENCE_SECONDS": "10"}


class Pair(NamedTuple):
    one: Replica
    two: Replica
    upstream: Simulator
    books: str


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with a data folder of their own, as on two machines, but for the outputs."""
    folder = tmp_path_factory.mktemp("pair")
    environ = {**PATIENT, "REPLIGATE__STATE__OUTPUTS": (folder / "outputs").as_uri()}
    (folder / "outputs").mkdir()
    with database() as books, own_redis(folder) as store, Simulator(Settings(pace=2000)) as upstream:
        one = Replica(folder / "one", upstream.base_url, books, store.url, environ=environ)
        with one, Replica(folder / "two", upstream.base_url, books, store.url, environ=environ, key=one.key) as two:
            yield Pair(one, two, upstream, books)


def admitted(gateway: Replica, key: str) -> int:
    """How many of a burst are let in."""
    client = gateway.openai(key, timeout=60)

    def ask(_: int) -> bool:
        try:
            client.chat.completions.create(model="sim/echo", messages=HELLO)
        except openai.RateLimitError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(ask, range(20)))


@pytest.mark.slow
def test_a_limit_holds_for_both_together(pair: Pair) -> None:
    one, two, _, books = pair
    key = issued(books, "six", requests_per_minute=6)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        let_in = sum(threads.map(admitted, (one, two), (key, key)))
    assert 6 <= let_in <= 6 + (time.monotonic() - began) / 10


@pytest.mark.slow
def test_calls_at_once_are_counted_over_both(pair: Pair) -> None:
    key = issued(pair.books, "two", calls_at_once=2)
    clients = [each.openai(key) for each in pair[:2]]
    streams = [each.chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True) for each in clients]
    for stream in streams:
        next(stream)
    for client in clients:
        with pytest.raises(openai.RateLimitError, match="calls at once: Limit 2, Used 2"):
            client.chat.completions.create(model="sim/echo", messages=HELLO)
    streams[0].close()

    def free() -> bool:
        try:
            clients[1].chat.completions.create(model="sim/echo", messages=HELLO)
        except openai.RateLimitError:
            return False
        return True

    until(free, 20)
    streams[1].close()


@pytest.mark.slow
def test_a_revoked_key_is_refused_by_both_within_two_seconds(pair: Pair) -> None:
    one, two, _, books = pair
    key = issued(books, "short")
    bearer = {"authorization": f"Bearer {key}"}

    def statuses() -> list[int]:
        return [httpx.get(f"{each.base_url}/models", headers=bearer).status_code for each in (one, two)]

    assert statuses() == [200, 200]
    stop, seen = threading.Event(), list[tuple[float, list[int]]]()

    def watch() -> None:
        while not stop.is_set():
            seen.append((time.monotonic(), statuses()))

    watching = threading.Thread(target=watch)
    watching.start()
    keys_of(books, lambda keys: keys.revoke("short"))
    revoked = time.monotonic()
    until(lambda: seen != [] and seen[-1][1] == [401, 401], 20)
    stop.set()
    watching.join()
    late = [at for at, told in seen if at > revoked + 2 and told != [401, 401]]
    assert late == []


@pytest.mark.slow
def test_a_link_to_an_output_of_one_opens_at_the_other(pair: Pair) -> None:
    one, two, _, _ = pair
    link = one.openai().images.generate(model="sim/picture", prompt="a red fox").data[0].url
    assert link
    assert link.startswith(one.url)
    answer = httpx.get(link.replace(one.url, two.url))
    assert (answer.status_code, answer.content) == (200, httpx.get(link).content)


@pytest.mark.slow
def test_what_one_knows_of_a_model_the_other_need_not_ask_for(pair: Pair) -> None:
    one, two, upstream, _ = pair

    def reads() -> int:
        return sum("/models/sim/slow" in each.path and each.method == "GET" for each in upstream.requests())

    one.openai().chat.completions.create(model="sim/slow", messages=HELLO, max_tokens=1)
    before = reads()
    assert before
    two.openai().chat.completions.create(model="sim/slow", messages=HELLO, max_tokens=1)
    assert reads() == before


@pytest.mark.slow
def test_each_tells_how_many_there_are(pair: Pair) -> None:
    for each in pair[:2]:
        until(lambda each=each: httpx.get(f"{each.url}/health/ready").json()["replicas"] == 2, 20)  # type: ignore[misc]
        assert httpx.get(f"{each.url}/health/ready").json()["limits"] == "shared"

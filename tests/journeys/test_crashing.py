"""`kill -9` at any instant loses no ledger entry, and nothing runs on that nobody waits for."""

import sqlite3
import threading
from contextlib import closing, suppress

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.journeys.test_leaving import booked, still_open, until
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something long"}]


def ask(gateway: Served, model: str) -> None:
    try:
        for _ in gateway.openai().chat.completions.create(model=model, messages=HELLO, stream=True):
            pass
    except openai.APIError:
        pass


def ask_whole(gateway: Served, words: str) -> None:
    with suppress(openai.APIError):
        message: ChatCompletionMessageParam = {"role": "user", "content": words}
        gateway.openai().chat.completions.create(model="sim/never-ends", messages=[message])


def test_a_kill_in_mid_stream_loses_no_entry_and_the_next_start_settles_it(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    assert own_gateway.key
    callers = [threading.Thread(target=ask, args=(own_gateway, "sim/never-ends")) for _ in range(4)]
    for caller in callers:
        caller.start()
    until(lambda: sum(one.status == "processing" for one in own_simulator.predictions()) == 4)
    own_gateway.kill()
    for caller in callers:
        caller.join(10)
    assert still_open(own_gateway) == 4
    own_gateway.start()
    until(lambda: all(one.status == "canceled" for one in own_simulator.predictions()))
    until(lambda: still_open(own_gateway) == 0)
    assert booked(own_gateway) == 4


def test_a_kill_while_whole_chats_wait_in_their_creates_loses_none_and_the_next_start_settles_them(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    assert own_gateway.key
    callers = [threading.Thread(target=ask_whole, args=(own_gateway, words)) for words in ("alpha", "beta", "beta")]
    for caller in callers:
        caller.start()
    until(lambda: sum(one.status == "processing" for one in own_simulator.predictions()) == 3)
    assert sorted(one.prefer or "" for one in own_simulator.predictions()) == ["", "wait=60", "wait=60"]
    own_gateway.kill()
    for caller in callers:
        caller.join(10)
    assert still_open(own_gateway) == 3
    own_gateway.start()
    until(lambda: all(one.status == "canceled" for one in own_simulator.predictions()), 15)
    until(lambda: still_open(own_gateway) == 0, 15)
    assert booked(own_gateway) == 3


def test_a_kill_at_any_instant_of_creating_leaves_nothing_running(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    assert own_gateway.key
    for after in (0.0, 0.003, 0.01, 0.03):
        ask(own_gateway, "sim/echo")
        caller = threading.Thread(target=ask, args=(own_gateway, "sim/never-ends"))
        caller.start()
        threading.Event().wait(after)
        own_gateway.kill()
        caller.join(10)
        own_gateway.start()
    until(lambda: all(one.status in {"canceled", "succeeded"} for one in own_simulator.predictions()))
    until(lambda: booked(own_gateway) >= len(own_simulator.predictions()))
    # Entries whose create never left are kept a while, for their predictions might yet turn up.
    assert booked(own_gateway) + still_open(own_gateway) <= 8


def test_a_kill_right_after_a_reply_books_it_once_and_as_it_was_told(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    told = []
    for _ in range(4):
        reply = own_gateway.openai().chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)
        own_gateway.kill()
        usage = reply.parse().usage
        assert usage
        told.append((reply.headers["x-repligate-prediction-id"], usage.prompt_tokens, usage.completion_tokens))
        own_gateway.start()
    until(lambda: (still_open(own_gateway), booked(own_gateway)) == (0, 4))
    with closing(sqlite3.connect(own_gateway.folder / "data" / "repligate.db")) as books:
        lines = books.execute("SELECT prediction, tokens_in, tokens_out FROM settlements").fetchall()
    assert sorted(lines) == sorted(told)


def test_a_kill_while_the_answer_to_a_create_is_awaited_leaves_nothing_running(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    own_simulator.scene("sim/never-ends", "never-ends", refusal="stalled", created_anyway=True)
    assert own_gateway.key
    caller = threading.Thread(target=ask, args=(own_gateway, "sim/never-ends"))
    caller.start()
    until(lambda: own_simulator.predictions() and own_simulator.last().status == "processing")
    own_gateway.kill()
    caller.join(10)
    own_gateway.start()
    until(lambda: own_simulator.last().status == "canceled")
    until(lambda: (still_open(own_gateway), booked(own_gateway)) == (0, 1))


def test_two_gateways_do_not_share_one_data_folder(own_gateway: Served) -> None:
    with pytest.raises(AssertionError, match="another gateway"):
        Served(own_gateway.folder, "http://127.0.0.1:9/v1")

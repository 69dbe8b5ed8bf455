"""Streams: how events are written, resumed, and broken off."""

import re
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from gateway.simulator import Settings, Simulator
from tests.simulator.calls import Api, events, spoken, until

ASK = {"Accept": "text/event-stream"}


def stream_of(api: Api, model: str, **inputs: object) -> str:
    return str(api.create(model, **inputs).json()["urls"]["stream"])


def test_a_stream_greets_with_a_comment_and_ends_with_done(api: Api, web: httpx.Client) -> None:
    reply = web.get(stream_of(api, "sim/echo", prompt="hello you"), headers=ASK)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.startswith(": hi\n\n")
    assert [(name, data) for name, _, data in events(reply.text)] == [
        ("output", "hello"),
        ("output", " you"),
        ("output", ""),
        ("done", "{}"),
    ]


def test_leading_spaces_and_line_ends_survive(api: Api, web: httpx.Client) -> None:
    said = "one\n\ntwo  three\n"
    text = web.get(stream_of(api, "sim/echo", prompt=said)).text
    assert spoken(text) == said.strip()
    assert "data:  three\n" in text
    assert "\ndata: \ndata: \ndata: \n\n" in text


def test_event_ids_are_a_second_and_a_place_within_it(api: Api, web: httpx.Client) -> None:
    text = web.get(stream_of(api, "sim/slow", prompt="x")).text
    ids = [tuple(map(int, id.split(":"))) for _, id, _ in events(text)]
    assert ids == sorted(set(ids))
    assert abs(ids[0][0] - time.time()) < 5
    assert re.search(r"\nid: \d{10}:0\n", text)


def test_a_stream_is_paced_and_reaches_the_client_event_by_event(api: Api, web: httpx.Client) -> None:
    seen: list[float] = []
    with web.stream("GET", stream_of(api, "sim/slow", prompt="x")) as reply:
        seen = [time.monotonic() for line in reply.iter_lines() if line.startswith("event: output")]
    assert len(seen) == 13
    assert 0.6 < seen[-1] - seen[0] < 1.5


def test_coming_late_replays_everything_from_the_start(api: Api, web: httpx.Client) -> None:
    created = api.create("sim/echo", prompt="all of it").json()
    api.final(created["id"])
    first, second = (web.get(created["urls"]["stream"]).text for _ in range(2))
    assert first == second
    assert spoken(first) == "all of it"


def test_last_event_id_resumes_behind_it(api: Api, web: httpx.Client) -> None:
    url = stream_of(api, "sim/echo", prompt="one two three")
    whole = events(web.get(url).text)
    rest = events(web.get(url, headers={"Last-Event-ID": whole[1][1]}).text)
    assert rest == whole[2:]


def test_two_clients_follow_one_stream(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    url = stream_of(api, "sim/slow", prompt="x")
    heard: list[str] = []
    threads = [threading.Thread(target=lambda: heard.append(spoken(httpx.get(url).text))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard[0] == heard[1] != ""
    assert simulator.last().streams == 2


def test_a_failure_is_an_error_and_then_done(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    text = web.get(stream_of(api, "sim/fails-midway", prompt="x")).text
    assert [name for name, _, _ in events(text)] == ["output"] * 5 + ["error", "done"]
    assert events(text)[-2][2] == '{"detail":"RuntimeError: the simulated model broke down"}'
    assert events(text)[-1][2] == '{"reason":"error"}'
    simulator.switch(stream_error="text")
    text = web.get(stream_of(api, "sim/fails", prompt="x")).text
    assert events(text)[0][2] == "RuntimeError: the simulated model broke down"


def test_a_cancel_ends_the_stream_with_its_reason(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    created = api.create("sim/never-ends", prompt="x").json()
    until(lambda: simulator.last().put_out > 0)
    api.post(f"/predictions/{created['id']}/cancel")
    assert events(web.get(created["urls"]["stream"]).text)[-1][2] == '{"reason":"canceled"}'


def test_a_cut_stream_ends_without_done_and_resumes(api: Api, web: httpx.Client) -> None:
    url = stream_of(api, "sim/cut-stream", prompt="x")
    first = events(web.get(url).text)
    assert [name for name, _, _ in first] == ["output"] * 4
    rest = events(web.get(url, headers={"Last-Event-ID": first[-1][1]}).text)
    assert rest[-1][0] == "done"
    assert rest[0][1] != first[-1][1]


def test_a_stream_can_be_cut_every_time(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "cut-stream-always")
    url = stream_of(api, "sim/echo", prompt="one two three four five")
    last, said = "", ""
    for _ in range(10):
        got = events(web.get(url, headers={"Last-Event-ID": last}).text)
        said += "".join(data for name, _, data in got if name == "output")
        if not got or got[-1][0] == "done":
            break
        assert len(got) <= 2
        last = got[-1][1]
    assert said == "one two three four five"


def test_a_stream_can_be_torn_down_in_mid_body(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "dropped-stream", stream_ends_after=1)
    url = stream_of(api, "sim/echo", prompt="one two three")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        web.get(url)
    assert spoken(web.get(url).text) == "one two three"


@pytest.mark.parametrize(("scene", "last_words"), [
    ("half-stream", "event: output\nid: "), ("timed-out-stream", "\n:408: 408 Request Timeout\n\n"),
])  # fmt: skip
def test_a_stream_can_end_amid_an_event_or_with_the_408_comment(
    api: Api, web: httpx.Client, simulator: Simulator, scene: str, last_words: str
) -> None:
    simulator.scene("sim/echo", scene, stream_ends_after=2)
    created = api.create("sim/echo", prompt="one two three").json()
    api.final(created["id"])
    text = web.get(created["urls"]["stream"]).text
    assert last_words in text.partition("data:  two\n")[2]
    assert not text.endswith("data:  three\n\n")
    whole = web.get(created["urls"]["stream"]).text
    assert spoken(whole) == "one two three"


def test_a_stream_can_fall_silent(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "stalled-stream", stream_ends_after=1)
    url = stream_of(api, "sim/echo", prompt="one two three")
    with pytest.raises(httpx.ReadTimeout):
        web.get(url, timeout=0.3)
    assert spoken(web.get(url).text) == "one two three"


def test_an_idle_stream_is_ended_by_the_408_comment(started: Callable[[Settings], Api], web: httpx.Client) -> None:
    api = started(Settings(stream_idle_seconds=0.1))
    api.simulator.scene("sim/echo", "queue", queued=5)
    text = web.get(stream_of(api, "sim/echo", prompt="x")).text
    assert text == ": hi\n\n:408: 408 Request Timeout\n\n"


def test_an_idle_stream_can_close_silently_and_give_the_result_when_opened_again(
    started: Callable[[Settings], Api], web: httpx.Client
) -> None:
    api = started(Settings(stream_idle_seconds=0.1, picture_seconds=0.3))
    api.simulator.switch(stream_idle_comment=False, stream_logs=False)
    created = api.create("sim/picture", prompt="x").json()
    assert web.get(created["urls"]["stream"]).text == ": hi\n\n"
    api.final(created["id"])
    assert [name for name, _, _ in events(web.get(created["urls"]["stream"]).text)] == ["output", "done"]


def test_a_stream_can_linger_after_done(started: Callable[[Settings], Api], web: httpx.Client) -> None:
    api = started(Settings(stream_idle_seconds=0.2))
    api.simulator.switch(stream_lingers=True)
    url = stream_of(api, "sim/echo", prompt="x")
    begun = time.monotonic()
    text = web.get(url).text
    assert time.monotonic() - begun > 0.15
    assert text.endswith("data: {}\n\n:408: 408 Request Timeout\n\n")


def test_events_can_be_split_over_network_chunks(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    simulator.switch(stream_chunk_bytes=7)
    with web.stream("GET", stream_of(api, "sim/echo", prompt="one two")) as reply:
        chunks = list(reply.iter_raw())
    assert max(map(len, chunks)) <= 7 * 3
    assert spoken(b"".join(chunks).decode()) == "one two"


def test_logs_are_in_the_stream_unless_switched_off(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    url = stream_of(api, "sim/picture", prompt="x")
    assert "/v1/files/" in url
    found = events(web.get(url).text)
    assert {name for name, _, _ in found} == {"logs", "output", "done"}
    assert next(data for name, _, data in found if name == "output").startswith(simulator.delivery_url)
    simulator.switch(stream_logs=False)
    found = events(web.get(stream_of(api, "sim/picture", prompt="x")).text)
    assert {name for name, _, _ in found} == {"output", "done"}


def test_text_streams_are_under_streams_and_stringy_models_have_none(api: Api, simulator: Simulator) -> None:
    assert "/v1/streams/" in stream_of(api, "sim/echo", prompt="x")
    simulator.switch(stream_url=False)
    assert "stream" not in api.create("sim/echo", prompt="x").json()["urls"]


def test_a_stream_wants_its_accept_header_where_switched(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    simulator.switch(stream_accept_required=True)
    url = stream_of(api, "sim/echo", prompt="x")
    assert web.get(url).status_code == 406
    assert web.get(url, headers=ASK).status_code == 200


def test_an_unknown_stream_is_not_found(web: httpx.Client, simulator: Simulator) -> None:
    assert web.get(f"{simulator.stream_url}/v1/streams/nothing").status_code == 404


def test_a_token_sent_to_the_other_hosts_is_noted_and_refused_where_switched(
    api: Api, web: httpx.Client, simulator: Simulator
) -> None:
    created = api.create("sim/picture", {"Prefer": "wait"}, prompt="x").json()
    urls = created["urls"]["stream"], created["output"][0]
    assert [web.get(url).status_code for url in urls] == [200, 200]
    assert simulator.leaks() == []
    token = {"Authorization": f"Bearer {simulator.token}"}
    assert [web.get(url, headers=token).status_code for url in urls] == [200, 200]
    assert [leak.host for leak in simulator.leaks()] == ["stream", "delivery"]
    simulator.switch(leaked_token="refuse")
    assert [web.get(url, headers=token).status_code for url in urls] == [400, 400]


def test_a_client_that_leaves_is_let_go_at_once(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    url = stream_of(api, "sim/never-ends", prompt="x")
    with web.stream("GET", url) as reply:
        next(reply.iter_lines())
    until(lambda: any(request.host == "stream" for request in simulator.requests()))
    assert simulator.last().status == "processing"

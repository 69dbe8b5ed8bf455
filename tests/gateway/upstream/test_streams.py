"""What a stream says is heard once, whatever becomes of its connections."""

from itertools import pairwise

import pytest
from httpx_sse import ServerSentEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from adapters.wire.replicate import Done, Event, Failure, Logs, Output
from gateway.config import UpstreamConfig
from gateway.upstream import sse
from gateway.upstream.client import Upstream
from gateway.upstream.streams import Cursor, NoStream, read
from gateway.upstream.waiting import Waiting
from tests.gateway.upstream.streaming import End, Played, Resume, Said, playing, tokens, told

CONFIG = UpstreamConfig(read_seconds=0.3, connect_seconds=0.3, retry_seconds=0.5)
DONE = Said("done", "{}", "1690212293:99")


async def heard(upstream: Upstream, played: Played) -> list[Event]:
    return [event async for batch in read(upstream, f"{played.url}/stream", Cursor(), 0) for event in batch]


async def waited(upstream: Upstream, played: Played) -> list[Event]:
    waiting = Waiting(upstream.config, chance=lambda: 0.0)
    return await told(waiting, upstream, played.prediction)


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Output))


async def test_exactly_one_space_after_the_colon_is_dropped() -> None:
    played = Played([*tokens("Hello", " world", "  twice", "\n", "", "line\n\nline", " "), DONE])
    async with playing(played, CONFIG) as upstream:
        events = await heard(upstream, played)
    assert [event.text for event in events if isinstance(event, Output)] == [
        "Hello", " world", "  twice", "\n", "", "line\n\nline", " ",
    ]  # fmt: skip


async def test_comments_and_unknown_events_are_no_events() -> None:
    played = Played([*tokens("a"), Said("metric", "{}", "1690212292:1"), Said("logs", "50%", "1690212292:2"), DONE])
    async with playing(played, CONFIG) as upstream:
        assert await heard(upstream, played) == [Output("a"), Logs("50%"), Done()]


@pytest.mark.parametrize("data", ['{"detail": "it broke"}', "it broke"])
async def test_an_error_may_be_json_or_bare_text(data: str) -> None:
    played = Played([Said("error", data, "1:0"), Said("done", '{"reason":"error"}', "1:1")])
    async with playing(played, CONFIG) as upstream:
        assert await heard(upstream, played) == [Failure("it broke"), Done("error")]


async def test_a_url_that_is_no_stream_is_said_to_be_none() -> None:
    async with playing(Played([]), CONFIG) as upstream:
        for url in (f"{upstream.base_url}/predictions/p1", "ftp://stream.example/", "http://127.0.0.1:1/"):
            with pytest.raises(NoStream):
                async for _ in read(upstream, url, Cursor(), 0):
                    pass


async def test_a_stream_is_not_read_in_the_clear_where_the_api_is_not() -> None:
    upstream = Upstream(CONFIG, ["r8_one"], "https://replicate.example/v1")
    with pytest.raises(NoStream):
        async for _ in read(upstream, "http://stream.example/", Cursor(), 0):
            pass
    await upstream.aclose()


@pytest.mark.parametrize("end", ["closed", "dropped", "silent", "comment", "cut"])
@pytest.mark.parametrize("resume", ["after", "with", "anew"])
async def test_a_stream_that_ends_in_any_way_is_resumed_with_nothing_lost_or_twice(end: End, resume: Resume) -> None:
    words = tokens(*(f" w{place}" for place in range(8)))
    played = Played([*words, DONE], cuts=[(3, end), (3, "closed"), (5, end)], resume=resume)
    async with playing(played, CONFIG) as upstream:
        events = await waited(upstream, played)
    assert [event.text for event in events if isinstance(event, Output)] == [word.data for word in words]
    assert events[-1] == Done()
    assert played.resumed_after == ["", "1690212292:2", "1690212292:2", "1690212292:4"]


async def test_a_stream_without_ids_is_read_anew_and_what_was_heard_is_skipped() -> None:
    words = [Said("output", word) for word in ("the ", "the ", "the ", "cat", "")]
    played = Played([*words, Said("done", "{}")], cuts=[(2, "closed"), (4, "dropped")], resume="anew")
    async with playing(played, CONFIG) as upstream:
        events = await waited(upstream, played)
    assert events == [*(Output(word.data) for word in words), Done()]


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    ids=some.lists(some.booleans(), min_size=1, max_size=12),
    cuts=some.lists(some.integers(0, 12), max_size=5),
    resume=some.sampled_from(["after", "with", "anew"]),
)
def test_no_event_is_lost_or_repeated_wherever_the_connections_end(
    ids: list[bool], cuts: list[int], resume: Resume
) -> None:
    events = [f"e{place}" if has_id or (place == 0 and any(ids)) else "" for place, has_id in enumerate(ids)]
    cursor, delivered = Cursor(), list[int]()
    for until in (*cuts, len(events)):
        last, known = cursor.last, ""
        start = 0 if not last or resume == "anew" else events.index(last) + (resume == "after")
        cursor.reopen()
        for place in range(start, min(until, len(events))):
            known = events[place] or known
            if cursor.fresh(known):
                delivered.append(place)
    assert delivered == list(range(len(events)))


WIRE = (
    b"\xef\xbb\xbf: hi\n\nid: 1:0\nevent: output\ndata:  Once\n\nevent: output\ndata\nid: 1:1\n\n"
    b"data: nameless\n\nevent: output\nid: 1:\x002\ndata: \xe2\x82\xac\ndata:\ndata: x: y\n\n\n\n"
    b"event: output\nid: 1:2\ndata:  as usual\n\nevent: output\nid: 1:3\ndata: \n\n"
    b"retry: 5\nevent: done\n\nevent: cut\nda"
)
SAID = [
    ("output", " Once", "1:0"),
    ("output", "", "1:1"),
    ("output", "€\n\nx: y", "1:1"),
    ("output", " as usual", "1:2"),
    ("output", "", "1:3"),
    ("done", "", "1:3"),
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(cuts=some.lists(some.integers(0, 320), max_size=8))
def test_events_are_the_same_wherever_their_bytes_are_cut(line_end: bytes, cuts: list[int]) -> None:
    wire, parser, said = WIRE.replace(b"\n", line_end), sse.Parser(), list[ServerSentEvent]()
    bounds = [0, *sorted(cuts), len(wire)]
    for start, end in pairwise(bounds):
        said += parser.feed(wire[start:end])
    assert [(each.event, each.data, each.id) for each in said if each.event != "message"] == SAID

"""A stream holds back no more than it must, knows when it is complete, and raises what failed."""

import json
import time
from typing import Any

import msgspec
import pytest

from adapters.base import Prepared, Reading, Stamp
from adapters.chat import ChatAdapter
from adapters.errors import ContentRefused, ModelBusy, PredictionFailed, PredictionStopped
from adapters.pieces import AnyChunk
from adapters.streams import ChatStream
from adapters.thoughts import Thoughts
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.chatted import ChatChunk
from adapters.wire.replicate import Done, Failure, Logs, Output, Prediction

STAMP = Stamp("chatcmpl-1", 7, "acme/model")
PLAIN = Reading()


def asked(**more: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "tell me of the whale"}], **more}
    return decode(json.dumps(body).encode(), ChatRequest)


def opened(n: int = 1, reading: Reading = PLAIN, **more: Any) -> ChatStream:
    return ChatStream(asked(**more), STAMP, Prepared(inputs=({},) * n, reading=reading))


def read(chunk: AnyChunk) -> ChatChunk:
    return msgspec.json.decode(msgspec.json.encode(chunk), type=ChatChunk)


def content(chunks: list[AnyChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in map(read, chunks) for choice in chunk.choices)


def done(text: str = "", **more: Any) -> Prediction:
    return msgspec.convert({"id": "p", "status": "succeeded", "output": [text], **more}, Prediction)


def test_a_token_leaves_when_it_comes() -> None:
    stream = opened(reading=Reading(stops=("STOP",)))
    assert [content(stream.feed(Output(text))) for text in ("Call", " me", " S", "T", "ar")] == [
        "Call",
        " me",
        " ",
        "",
        "STar",
    ]


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    stream = opened()
    assert stream.feed(Logs("Using seed: 1")) == []
    assert stream.feed(Output("")) == []
    assert next(chunk.choices[0].delta.role for chunk in map(read, stream.feed(Output("a")))) == "assistant"


def test_an_empty_answer_still_has_its_role_and_its_end() -> None:
    chunks = opened().close([done()])
    assert [chunk.choices[0].delta.role for chunk in map(read, chunks[:1])] == ["assistant"]
    assert [chunk.choices[0].finish_reason for chunk in map(read, chunks)] == [None, "stop"]


def test_a_stop_in_every_answer_completes_the_stream() -> None:
    stream = opened(2, Reading(stops=("STOP",)))
    stream.feed(Output("a STOP b", 0))
    assert not stream.complete
    assert (stream.wants(0), stream.wants(1)) == (False, True)
    stream.feed(Output("c STOP", 1))
    assert stream.complete
    assert stream.feed(Output("more", 0)) == []
    # Cancelled because nothing more was wanted: that is no failure.
    chunks = stream.close([Prediction(id="p", status="canceled"), Prediction(id="q", status="canceled")])
    assert [chunk.choices[0].finish_reason for chunk in map(read, chunks)] == ["stop", "stop"]


def test_usage_is_null_until_the_last_chunk_and_only_when_asked_for() -> None:
    stream = opened(stream=True, stream_options={"include_usage": True})
    chunks = [*stream.feed(Output("a")), *stream.close([done("a")])]
    frames = [json.loads(msgspec.json.encode(chunk)) for chunk in chunks]
    assert [frame["usage"] is None for frame in frames] == [True] * (len(frames) - 1) + [False]
    assert frames[-1]["choices"] == []
    plain = opened(stream=True)
    silent = [json.loads(msgspec.json.encode(chunk)) for chunk in [*plain.feed(Output("a")), *plain.close([done("a")])]]
    assert not any("usage" in frame for frame in silent)
    assert all(frame["choices"] for frame in silent)


def test_every_chunk_repeats_who_it_belongs_to() -> None:
    stream = opened()
    chunks = [*stream.feed(Output("a")), *stream.feed(Output("b")), *stream.close([done("ab")])]
    assert {(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in map(read, chunks)} == {
        ("chatcmpl-1", 7, "acme/model", "chat.completion.chunk")
    }
    assert json.loads(msgspec.json.encode(chunks[1]))["choices"] == [
        {"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": None}
    ]
    assert json.loads(msgspec.json.encode(chunks[-1]))["choices"][0]["delta"] == {}


def test_a_stream_that_says_otherwise_than_the_prediction_is_believed() -> None:
    stream = opened()
    stream.feed(Output("streamed"))
    assert content(stream.close([done("another text, longer")])) == ""


@pytest.mark.parametrize(
    ("prediction", "error"),
    [
        ({"status": "failed", "error": "CUDA out of memory"}, PredictionFailed),
        ({"status": "failed", "error": "NSFW content detected."}, ContentRefused),
        ({"status": "failed", "error": "Service is temporarily unavailable. (E004)"}, ModelBusy),
        ({"status": "failed", "error": "Prediction timed out"}, PredictionStopped),
        ({"status": "canceled"}, PredictionStopped),
        ({"status": "aborted"}, PredictionStopped),
        ({"status": "failed"}, PredictionFailed),
    ],
)
def test_closing_raises_what_a_prediction_means(prediction: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        opened().close([done(**prediction)])
    assert type(raised.value) is error


def test_the_streams_word_counts_when_no_prediction_is_at_hand() -> None:
    stream = opened()
    stream.feed(Failure("the whale is gone"))
    stream.feed(Done("error"))
    with pytest.raises(PredictionFailed, match="the whale is gone"):
        stream.close([])


def test_errors_never_repeat_the_prompt() -> None:
    long = "word " * 200
    with pytest.raises(PredictionFailed) as raised:
        opened().close([done(status="failed", error=f"bad input: tell me of the whale, said {long}")])
    assert "whale" not in raised.value.message
    assert len(raised.value.message) < 350


def test_a_template_that_opens_the_thoughts_needs_no_opening_tag() -> None:
    for text in ("Hm.\n</think>\n\nHi", "<think>\nHm.\n</think>Hi", "\nHm.</think>\n Hi"):
        thoughts = Thoughts(inside=True)
        told = [thoughts.feed(text), thoughts.close()]
        assert ("".join(each.thought for each in told), "".join(each.answer for each in told)) == ("Hm.", "Hi")


def test_an_answer_may_speak_of_tags() -> None:
    thoughts = Thoughts()
    assert thoughts.feed("Use <think> to think.").answer + thoughts.close().answer == "Use <think> to think."


def test_an_unclosed_thought_was_one_to_the_end() -> None:
    thoughts = Thoughts()
    assert thoughts.feed("<think>on and on ").thought + thoughts.close().thought == "on and on"


def test_an_answer_that_was_removed_is_no_empty_answer() -> None:
    gone = msgspec.convert({"id": "p", "status": "succeeded", "output": None, "data_removed": True}, Prediction)
    with pytest.raises(PredictionFailed, match="gone"):
        ChatAdapter().parse(asked(), [gone], STAMP, Prepared(inputs=({},)))


def test_the_whole_reply_of_a_failed_choice_is_its_error() -> None:
    request = asked(n=2)
    with pytest.raises(PredictionFailed):
        ChatAdapter().parse(request, [done("a"), done(status="failed")], STAMP, Prepared(inputs=({}, {})))


def test_a_long_stream_costs_the_same_for_every_token() -> None:
    def seconds(tokens: int) -> float:
        stream = opened(reading=Reading(stops=("STOP", "\nUser:")))
        start = time.perf_counter()
        for _ in range(tokens):
            stream.feed(Output(" token"))
        return time.perf_counter() - start

    few, many = min(seconds(2_000) for _ in range(3)), min(seconds(20_000) for _ in range(3))
    assert many < few * 10 * 4

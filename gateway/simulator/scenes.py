"""The behaviours a model can be told to show, each a value."""

from typing import Literal

from msgspec import Struct

Refusal = Literal[
    "throttled",
    "low-credit",
    "insufficient-credit",
    "billing-required",
    "forbidden",
    "unavailable",
    "overloaded",
    "bad-gateway",
    "gateway-timeout",
    "stalled",
    "dropped",
]

SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"
NSFW = "NSFW content detected. Try running it again, or try a different prompt."


class Scene(Struct, frozen=True, kw_only=True):
    """How a prediction goes, or what its create is refused with."""

    name: str
    """What it is called."""
    refusal: Refusal | None = None
    """What answers the create instead of a prediction."""
    created_anyway: bool = False
    """Whether the refusal hides a prediction that was created all the same."""
    retry_after: int = 1
    """The seconds a throttled create is told to wait."""
    queued: float = 0.0
    """Seconds in the queue; a deadline that passes meanwhile aborts the prediction."""
    boots: bool = False
    """Whether the model boots first."""
    boot: float | None = None
    """Seconds the boot takes; those of the settings when null."""
    seconds: float | None = None
    """Seconds the whole output takes, spread over its pieces."""
    pause: float | None = None
    """Seconds before each piece of output."""
    pieces: int | None = None
    """How many pieces of output there are at most."""
    text: str | None = None
    """The very text a text model answers."""
    output: str | None = None
    """The very output, as JSON, of a model of any kind."""
    reply: Literal["writer", "echo"] = "writer"
    """Whether a text model composes an answer or repeats the last words it was told."""
    thinks: bool = False
    """Whether a text model thinks aloud between `<think>` and `</think>` before it answers."""
    form: Literal["right", "broken", "wrong", "loose", "prose", "unclosed", "silent"] = "right"
    """How a text model makes the calls and the JSON it is asked for: as told, cut in the middle, with other arguments,
    in Python's way, amid prose, without their end, or not at all."""
    stubborn: bool = False
    """Whether it does so again when it is corrected."""
    stops_after: int | None = None
    """After how many pieces of output, or lines of its log, nothing more comes until somebody cancels."""
    fails_after: int | None = None
    """After how many pieces of output the prediction fails."""
    fails_as: Literal["failed", "succeeded"] = "failed"
    """The status such a prediction ends with; one that succeeded with an error has been seen."""
    error: str = "RuntimeError: the simulated model broke down"
    """What a prediction that fails says."""
    endless: bool = False
    """Whether the output goes on until somebody cancels it."""
    stream_ends_after: int | None = None
    """After how many events a stream's connection ends without `done`."""
    stream_end: Literal["closed", "half", "timeout", "dropped", "silent"] = "closed"
    """How it ends: closed, closed amid an event, with the 408 comment, torn down in mid-body, or silent but open."""
    stream_ends: int = 1
    """How many connections of one prediction end so; later ones are whole."""
    reads_fail: int = 0
    """How many reads of the prediction the edge answers with 502 before one is answered."""
    file_status: int = 200
    """The HTTP status the delivery host answers for the files of such a prediction."""


SCENES: dict[str, Scene] = {
    scene.name: scene
    for scene in (
        Scene(name="quick", pause=0.0, seconds=0.0),
        Scene(name="echo", reply="echo"),
        Scene(name="slow", seconds=1.0, pieces=12),
        Scene(name="cold-boot", boots=True),
        Scene(name="queue", queued=2.0),
        Scene(name="reasoning", thinks=True),
        Scene(name="says"),
        Scene(name="broken-json", form="broken"),
        Scene(name="wrong-arguments", form="wrong"),
        Scene(name="loose-json", form="loose"),
        Scene(name="prose-around", form="prose"),
        Scene(name="missing-end", form="unclosed"),
        Scene(name="no-call", form="silent"),
        Scene(name="fails", fails_after=0),
        Scene(name="fails-midway", fails_after=5),
        Scene(name="interrupted", fails_after=3, error="Prediction interrupted; please retry (code: PA)"),
        Scene(
            name="unhealthy", fails_after=0, error="Director: unexpected error handling prediction (E8765)", boots=True
        ),
        Scene(name="out-of-memory", fails_after=2, error="CUDA out of memory (E1001)"),
        Scene(
            name="high-demand",
            fails_after=0,
            error="Service is currently unavailable due to high demand. Please try again later. (E003)",
        ),
        Scene(name="timed-out", fails_after=4, error="Prediction timed out"),
        Scene(name="succeeds-with-error", fails_after=4, fails_as="succeeded", error="Prediction timed out"),
        Scene(name="refused", fails_after=0, error=SENSITIVE),
        Scene(name="nsfw", fails_after=0, error=NSFW),
        Scene(name="never-ends", endless=True, pause=0.1),
        Scene(name="cut-stream", stream_ends_after=4),
        Scene(name="cut-stream-always", stream_ends_after=2, stream_ends=1_000_000),
        Scene(name="half-stream", stream_ends_after=4, stream_end="half"),
        Scene(name="timed-out-stream", stream_ends_after=4, stream_end="timeout"),
        Scene(name="dropped-stream", stream_ends_after=4, stream_end="dropped"),
        Scene(name="stalled-stream", stream_ends_after=4, stream_end="silent"),
        Scene(name="flaky-reads", reads_fail=3),
        Scene(name="throttled", refusal="throttled"),
        Scene(name="low-credit", refusal="low-credit", retry_after=5),
        Scene(name="insufficient-credit", refusal="insufficient-credit"),
        Scene(name="billing-required", refusal="billing-required"),
        Scene(name="forbidden", refusal="forbidden"),
        Scene(name="unavailable", refusal="unavailable"),
        Scene(name="overloaded", refusal="overloaded"),
        Scene(name="bad-gateway", refusal="bad-gateway"),
        Scene(name="bad-gateway-created", refusal="bad-gateway", created_anyway=True),
        Scene(name="gateway-timeout", refusal="gateway-timeout"),
        Scene(name="created-but-504", refusal="gateway-timeout", created_anyway=True),
        Scene(name="stalled", refusal="stalled"),
        Scene(name="stalled-created", refusal="stalled", created_anyway=True),
        Scene(name="dropped", refusal="dropped"),
        Scene(name="dropped-created", refusal="dropped", created_anyway=True),
        Scene(name="lost-files", file_status=404),
        Scene(name="forbidden-files", file_status=403),
        Scene(name="picture"),
        Scene(name="picture-slow", seconds=3.0),
        Scene(name="picture-fails", fails_after=0),
        Scene(name="picture-nsfw", fails_after=0, error=NSFW),
        Scene(name="film-slow", seconds=5.0),
        Scene(name="film-stuck", stops_after=4),
        Scene(name="film-fails", fails_after=4),
    )
}

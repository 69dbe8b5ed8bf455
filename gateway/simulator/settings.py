"""What can be set about a simulator: where it listens, how fast it is, and every behaviour that is not certain."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

Limits = Literal["off", "normal", "granted", "low-credit"]
Trouble = Literal["refused", "insufficient-credit", "billing-required", "throttled", "granted", "low-credit"]
TokenCounts = Literal["record", "runtime", "billing", "both", "none"]
ThrottleHint = Literal["text", "body", "header", "both"]
ThrottleWording = Literal["resets", "expected"]
BadTokenWording = Literal["recorded", "newer"]


class Switches(Struct, frozen=True, kw_only=True):
    """Behaviours Replicate has shown in different forms, or that no source settles; each can be turned.

    The defaults keep to Replicate's published contract. `recorded()` gives the shapes of traffic recorded in 2024.
    """

    fresh_output: Literal["null", "absent"] = "null"
    """Whether a fresh create reply carries `output` and `data_removed` before there is any output."""
    null_logs: bool = False
    """Whether a stored prediction without logs says null instead of an empty string."""
    omit_nulls: bool = False
    """Whether stored predictions leave out keys whose value is null, `error` and `output` included."""
    web_url: bool = True
    """Whether `urls` names the page of a prediction."""
    stream_url: bool = True
    """Whether `urls` names a stream where the model supports one."""
    sync_success_status: Literal["processing", "succeeded"] = "processing"
    """What a sync reply that holds the whole output says its status is."""
    sync_timeout_status: Literal["starting", "processing"] = "starting"
    """What a sync reply says whose wait was over before the prediction was."""
    sync_timeout_code: Literal[200, 201, 202] = 201
    """The HTTP status of that reply."""
    sync_data_urls: bool = False
    """Whether sync replies hold files as data URLs, as they did in October 2024."""
    metrics_delay: float = 0.02
    """Seconds between the last output (and `done`) and the final status with its metrics."""
    clock_skew: float = 0.0
    """Seconds by which `started_at` comes before its true time; more than the wait puts it before `created_at`."""
    token_counts: TokenCounts = "record"
    """Which of the two vocabularies text models count tokens in; `record` leaves it to each model."""
    official_version: Literal["hidden", "internal", "real"] = "hidden"
    """What predictions of official models say their version is: `hidden`, a `dp-` name as in 2024, or the true one."""
    unknown_inputs: Literal["refuse", "ignore"] = "refuse"
    """What becomes of an input the model's schema does not declare."""
    bad_preference: Literal["refuse", "ignore"] = "refuse"
    """What becomes of a `Prefer` header that is not `wait` or `wait=1..60`."""
    bad_header_code: Literal[400, 422] = 422
    """The HTTP status of a refused `Prefer` or `Cancel-After` header."""
    location_header: bool = False
    """Whether a create reply carries `Location`."""
    cancel_of_final: Literal["accept", "refuse"] = "accept"
    """Whether cancelling what has ended answers 200 with the unchanged prediction, or 409."""
    aborted_webhook: bool = True
    """Whether `aborted` calls the `completed` webhook."""
    duplicate_webhooks: bool = False
    """Whether every webhook is delivered twice."""
    stream_logs: bool = True
    """Whether streams carry `logs` events."""
    stream_error: Literal["json", "text"] = "json"
    """Whether an `error` event holds `{"detail": …}` or bare text."""
    stream_chunk_bytes: int = 0
    """Cuts a stream into network chunks of so many bytes, whatever the events; 0 sends events whole."""
    stream_idle_comment: bool = True
    """Whether an idle stream is ended with the 408 comment, or silently."""
    stream_lingers: bool = False
    """Whether a stream stays open after `done`, until it has been idle long enough for the 408 comment."""
    stream_accept_required: bool = False
    """Whether a stream asked for without `Accept: text/event-stream` is refused with 406."""
    leaked_token: Literal["record", "refuse"] = "record"
    """What becomes of a token sent to the stream or delivery host: noted, or refused with 400 as well.

    The official Python client sends its token to both, so refusing it is for the tests of clients that must not.
    """
    throttle_hint: ThrottleHint = "both"
    """Where an ordinary 429 says when to come back, besides its text: `retry_after`, `Retry-After`, or both."""
    throttle_wording: ThrottleWording = "resets"
    """Whether an ordinary 429 says when the limit resets, or, as it once did, when it is expected to be available."""
    bad_token_wording: BadTokenWording = "recorded"
    """How a bad token is refused: in the words recorded in 2023, or in those reported since."""
    low_credit_title: bool = False
    """Whether the 429 for low credit has a title and another wording, and no `retry_after`."""
    sync_cancel_on_disconnect: bool = False
    """Whether a sync create whose client leaves is cancelled."""

    @classmethod
    def recorded(cls) -> "Switches":
        """Return the shapes seen in recorded traffic of 2024, some of which the published contract forbids."""
        return cls(fresh_output="absent", null_logs=True, web_url=False)


class Settings(Struct, frozen=True, kw_only=True):
    """How one simulator runs. Seconds are seconds of its own clock."""

    host: str = "127.0.0.1"
    """The address all three hosts listen on."""
    port: int = 0
    """Where the API listens; 0 takes any free port."""
    delivery_port: int = 0
    """Where outputs are fetched from; 0 takes any free port."""
    stream_port: int = 0
    """Where streams are found; 0 takes any free port."""
    public_host: str = ""
    """The host name written into URLs; that of `host` when empty."""
    models: Path | tuple[Path, ...] | None = None
    """A folder or file of further model records, or several, in the API's own form."""
    pace: float = 0.0
    """Tokens per second of text models whose scene sets no pace; 0 is as fast as it goes."""
    picture_seconds: float = 0.0
    """How long a picture takes when its scene does not say."""
    film_seconds: float = 0.0
    """How long a film takes when its scene does not say."""
    training_seconds: float = 0.2
    """How long a training takes."""
    boot_seconds: float = 1.5
    """How long a cold boot takes."""
    clock_speed: float = 1.0
    """How many seconds of the simulator's clock pass in one real second."""
    tokens: tuple[str, ...] = ()
    """The only tokens accepted; when empty, any that does not start with `r8_invalid`."""
    owner: str = "simulator"
    """The account everything belongs to."""
    webhook_secret: str = "whsec_c2ltdWxhdGVkLXNlY3JldC1vZi10aGUtc2ltdWxhdG9y"
    """What webhooks are signed with."""
    limits: Limits = "off"
    """Which rate limits are enforced; their headers are sent in any case."""
    creates_per_minute: int = 600
    """How many predictions a token may create in a minute, and at once, under `normal` limits."""
    retention_seconds: float = 3600.0
    """How long after its end a prediction keeps input, output, logs and files."""
    forget_seconds: float = 7200.0
    """How long after its end a prediction is forgotten altogether."""
    run_seconds: float = 1800.0
    """How long a prediction without a deadline may run."""
    stream_idle_seconds: float = 30.0
    """How long a stream stays open without data before the 408 comment ends it."""
    file_seconds: float = 86400.0
    """How long an uploaded file is kept."""
    webhook_throttle_seconds: float = 0.5
    """The least time between two `output` or two `logs` webhooks of one prediction."""
    webhook_retry_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 29.0)
    """The waits before each further try of a `completed` webhook that failed."""
    requests_kept: int = 20_000
    """How many requests the control log remembers."""
    seed: int | None = None
    """Makes ids repeatable; they are random without it."""
    switches: Switches = Switches()
    """How the switches stand at the start and after a reset."""

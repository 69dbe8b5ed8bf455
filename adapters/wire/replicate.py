"""Replicate's side: model refs, predictions, metrics, and what a stream says."""

import re
from functools import lru_cache
from typing import Any

from msgspec import Raw, Struct, field

FINAL = frozenset({"succeeded", "failed", "canceled", "aborted"})
"""All four are ends. Replicate's own SDKs wait for ever on `aborted`."""

_VERSION = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

_REMEMBERED = 4096
"""Of the same few names all requests speak."""

Inputs = dict[str, Any]
"""What a prediction is created with: the one open dictionary."""


class ModelRef(Struct, frozen=True):
    """A model of Replicate's: `owner/name`, `owner/name:version`, a bare version, or `deployments/owner/name`."""

    owner: str = ""
    name: str = ""
    version: str | None = None
    deployment: bool = False

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Raises ValueError for anything that is none of the four forms."""
        return _parsed(text)

    @property
    def path(self) -> str:
        """`owner/name`, empty for a bare version."""
        return f"{self.owner}/{self.name}" if self.owner else ""

    def __str__(self) -> str:
        if self.deployment:
            return f"deployments/{self.path}"
        if self.version is None:
            return self.path
        return f"{self.path}:{self.version}" if self.path else self.version


@lru_cache(_REMEMBERED)
def _parsed(text: str) -> ModelRef:
    if _VERSION.fullmatch(text):
        return ModelRef(version=text)
    path, _, version = text.partition(":")
    if version and not _VERSION.fullmatch(version):
        raise ValueError(f"the version in {text!r} is not 64 hexadecimal digits")
    parts = path.split("/")
    if len(parts) == 3 and parts[0] == "deployments" and not version:
        owner, name = _named(parts[1:], text)
        return ModelRef(owner, name, deployment=True)
    owner, name = _named(parts, text)
    return ModelRef(owner, name, version=version or None)


def _named(parts: list[str], text: str) -> tuple[str, str]:
    if len(parts) != 2 or not all(map(_PART.fullmatch, parts)):
        raise ValueError(f"{text!r} is not owner/name, owner/name:version, a version, or deployments/owner/name")
    return parts[0], parts[1]


class Metrics(Struct, frozen=True):
    """What Replicate measured. Two token vocabularies exist, of the runtime and of billing: either may be absent.

    Authors of models may give any metric any value, so that only the properties can be relied on.
    """

    predict_time: float | None = None
    total_time: float | None = None
    time_to_first_token: float | None = None
    input_token_count: object = None
    output_token_count: object = None
    token_input_count: object = None
    token_output_count: object = None
    image_count: object = None
    image_output_count: object = None
    character_input_count: object = None
    character_output_count: object = None
    audio_output_count: object = None
    video_output_count: object = None
    generic_output_count: object = None
    audio_output_duration_seconds: object = None
    video_output_duration_seconds: object = None
    video_output_total_pixel_count: object = None
    model_variant: object = None
    motion_mode: object = None
    resolution_target: object = None
    resolution_upscale_target: object = None
    with_audio: object = None

    @property
    def input_tokens(self) -> int | None:
        return _first_count(self.token_input_count, self.input_token_count)

    @property
    def output_tokens(self) -> int | None:
        return _first_count(self.token_output_count, self.output_token_count)

    @property
    def images(self) -> int | None:
        return _first_count(self.image_output_count, self.image_count)

    @property
    def input_characters(self) -> int | None:
        return _first_count(self.character_input_count)

    @property
    def output_characters(self) -> int | None:
        return _first_count(self.character_output_count)

    @property
    def files(self) -> int | None:
        """Files of any kind but pictures."""
        return _first_count(self.video_output_count, self.audio_output_count, self.generic_output_count)

    @property
    def output_seconds(self) -> float | None:
        """How long what came out plays."""
        told = (self.video_output_duration_seconds, self.audio_output_duration_seconds)
        return next((number for number in map(_number, told) if number is not None), None)

    @property
    def pixels(self) -> int | None:
        """Of all that came out."""
        return _first_count(self.video_output_total_pixel_count)

    def told(self, name: str) -> str | bool | float | None:
        """The value of one of `METRICS`; None where it is missing, or something else."""
        value = getattr(self, name)
        return value if isinstance(value, str | bool | int | float) else None


METRICS = frozenset(
    name
    for name in Metrics.__struct_fields__
    if name not in {"input_token_count", "output_token_count", "image_count", "time_to_first_token"}
)
"""The names that Replicate's prices are about."""


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _first_count(*told: object) -> int | None:
    """The first of them that is a whole number, 1.0 as well as 1."""
    for value in told:
        number = None if value is None else _number(value)
        if number is not None and (isinstance(number, int) or number.is_integer()):
            return int(number)
    return None


class Urls(Struct, frozen=True):
    """Where a prediction is read, cancelled and streamed. Hosts are opaque: used as given."""

    get: str | None = None
    cancel: str | None = None
    stream: str | None = None
    web: str | None = None


class Prediction(Struct, frozen=True):
    """One run of a model, as Replicate tells it; keys it leaves out are None."""

    id: str
    status: str
    model: str = ""
    version: str | None = None
    input: Raw = Raw(b"null")
    output: Any = None
    error: str | None = None
    logs: str | None = None
    metrics: Metrics | None = None
    urls: Urls = field(default_factory=Urls)
    created_at: str | None = None
    started_at: str | None = None
    completed_at: str | None = None
    data_removed: bool = False

    @property
    def final(self) -> bool:
        return self.status in FINAL


class Output(Struct, frozen=True, tag="output"):
    """A piece of text, or one file's URL. `index` says which of the call's predictions spoke."""

    text: str
    index: int = 0


class Logs(Struct, frozen=True, tag="logs"):
    """What the model printed."""

    text: str
    index: int = 0


class Failure(Struct, frozen=True, tag="error"):
    """The stream's word that the prediction failed; `done` follows and says nothing new."""

    detail: str
    index: int = 0


class Done(Struct, frozen=True, tag="done"):
    """The stream's end; `reason` is None, `canceled` or `error`."""

    reason: str | None = None
    index: int = 0


Event = Output | Logs | Failure | Done

"""Replicate's side: model refs, predictions, metrics, and what a stream says."""

import re
from typing import Any

from msgspec import Raw, Struct, field

FINAL = frozenset({"succeeded", "failed", "canceled", "aborted"})
"""All four are ends. Replicate's own SDKs wait for ever on `aborted`."""

_VERSION = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

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
        if _VERSION.fullmatch(text):
            return cls(version=text)
        path, _, version = text.partition(":")
        if version and not _VERSION.fullmatch(version):
            raise ValueError(f"the version in {text!r} is not 64 hexadecimal digits")
        parts = path.split("/")
        if len(parts) == 3 and parts[0] == "deployments" and not version:
            owner, name = _named(parts[1:], text)
            return cls(owner, name, deployment=True)
        owner, name = _named(parts, text)
        return cls(owner, name, version=version or None)

    @property
    def path(self) -> str:
        """`owner/name`, empty for a bare version."""
        return f"{self.owner}/{self.name}" if self.owner else ""

    def __str__(self) -> str:
        if self.deployment:
            return f"deployments/{self.path}"
        return ":".join(part for part in (self.path, self.version) if part)


def _named(parts: list[str], text: str) -> tuple[str, str]:
    if len(parts) != 2 or not all(map(_PART.fullmatch, parts)):
        raise ValueError(f"{text!r} is not owner/name, owner/name:version, a version, or deployments/owner/name")
    return parts[0], parts[1]


class Metrics(Struct, frozen=True):
    """What Replicate measured. Two token vocabularies exist, of the runtime and of billing: either may be absent."""

    predict_time: float | None = None
    total_time: float | None = None
    time_to_first_token: float | None = None
    input_token_count: int | None = None
    output_token_count: int | None = None
    token_input_count: int | None = None
    token_output_count: int | None = None
    image_count: int | None = None
    image_output_count: int | None = None

    @property
    def input_tokens(self) -> int | None:
        return self.token_input_count if self.token_input_count is not None else self.input_token_count

    @property
    def output_tokens(self) -> int | None:
        return self.token_output_count if self.token_output_count is not None else self.output_token_count

    @property
    def images(self) -> int | None:
        return self.image_output_count if self.image_output_count is not None else self.image_count


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

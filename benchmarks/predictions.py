"""Predictions of the upstream's: how long each takes, what it says meanwhile, and how its record reads."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

HELLO = ("Hello", " there", ",", " how", " are", " you", " today", "?")
LAG = 0.02
"""Seconds by which a late record's final status and metrics come after the output, as in our simulator."""
_SPEAKING = {"tokens", "held"}


class Prediction:
    """One run: how long it takes, and what it says meanwhile.

    As Replicate's were recorded: a create that does not wait answers `starting`, without output; one that waits answers
    with all of the output, but `processing`, without an end and without metrics. These are in the record only.
    """

    def __init__(self, id: str, model: str, inputs: Any = None) -> None:
        self.id, self.model, self.inputs = id, model, inputs
        self.began, self.born = time.time(), time.monotonic()
        self.kind, *numbers = model.partition("/")[2].split("-")
        self.tokens, self.pause = 1, 0.0
        if self.kind in _SPEAKING:
            self.tokens, self.pause = int(numbers[0]), float(numbers[1]) / 1000
            self.seconds = self.tokens * self.pause
        else:
            self.tokens = 1 if self.kind == "picture" else len(HELLO)
            self.seconds = float(numbers[0]) / 1000
        self.lag = LAG if self.kind in {"late", "picture"} else 0.0
        self.canceled = False

    @property
    def first_due(self) -> float:
        return self.born + {"tokens": self.pause, "held": 0.0}.get(self.kind, self.seconds)

    @property
    def left(self) -> float:
        """Seconds until its output is complete."""
        return max(0.0, self.born + self.seconds - time.monotonic())

    def starting(self, base_url: str) -> dict[str, Any]:
        """What a create answers that does not wait, or no longer."""
        return {**self._known(base_url), "logs": "", "status": "starting"}

    def complete(self, base_url: str) -> dict[str, Any]:
        """What a create answers that has waited for the output."""
        return {**self._known(base_url), "logs": "", "output": self._whole(base_url), "status": "processing"}

    def record(self, base_url: str) -> dict[str, Any]:
        """What is read of it later."""
        known = {**self._known(base_url), "logs": None, "started_at": _instant(self.began)}
        if self.canceled or time.monotonic() >= self.born + self.seconds + self.lag:
            ended = self.began + self.seconds
            status = "canceled" if self.canceled else "succeeded"
            over = {"status": status, "completed_at": _instant(ended), "metrics": self._metrics()}
            return {**known, "output": self._output(base_url), **over}
        return {**known, "output": self._output(base_url), "status": "processing", "metrics": {}}

    def _known(self, base_url: str) -> dict[str, Any]:
        get = f"{base_url}/v1/predictions/{self.id}"
        return {
            "id": self.id,
            "model": self.model,
            "version": "hidden",
            "input": self.inputs,
            "data_removed": False,
            "error": None,
            "created_at": _instant(self.began),
            "urls": {
                "get": get,
                "cancel": f"{get}/cancel",
                "stream": f"{base_url}/stream/{self.id}",
                "web": f"{base_url}/p/{self.id}",
            },
        }

    def _output(self, base_url: str) -> Any:
        """So much of it as there is by now."""
        if not self.left:
            return self._whole(base_url)
        now = time.monotonic()
        return [f"{due:.6f} " for due in self._dues() if due <= now] if self.kind in _SPEAKING else None

    def _whole(self, base_url: str) -> Any:
        if self.kind == "picture":
            return self._picture(base_url)
        # Lists of Replicate's end with an empty string.
        return [*(f"{due:.6f} " for due in self._dues()), ""] if self.kind in _SPEAKING else [*HELLO, ""]

    def _dues(self) -> Iterator[float]:
        return (self.first_due + place * self.pause for place in range(self.tokens))

    def word(self, base_url: str, place: int, now: float) -> str:
        """What its stream says at this place, now."""
        if self.kind == "picture":
            return self._picture(base_url)
        return f"{now:.6f} " if self.kind in _SPEAKING else HELLO[place]

    def _picture(self, base_url: str) -> str:
        return f"{base_url}/files/{self.id}.png"

    def _metrics(self) -> dict[str, Any]:
        told = {"predict_time": self.seconds, "total_time": self.seconds}
        if self.kind == "picture":
            return {**told, "image_count": 1}
        return {**told, "input_token_count": 12, "output_token_count": self.tokens}


def record(owner: str, name: str) -> dict[str, Any]:
    """The model's record: a text model that streams, or one that draws."""
    prompt = {"type": "string", "title": "Prompt", "x-order": 0}
    knobs = {"max_tokens": {"type": "integer", "default": 512, "minimum": 1, "x-order": 1}}
    words = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
    drawn = {"type": "string", "format": "uri"}
    draws = name.startswith("picture")
    schemas = {
        "Input": {
            "type": "object",
            "required": ["prompt"],
            "properties": {"prompt": prompt, **({} if draws else knobs)},
        },
        "Output": drawn if draws else {**words, "x-cog-array-display": "concatenate"},
    }
    document = {"openapi": "3.1.0", "info": {"title": "Cog", "version": "0.1.0"}, "components": {"schemas": schemas}}
    version = {"id": "0" * 64, "created_at": "2026-01-01T00:00:00Z", "openapi_schema": document}
    return {"owner": owner, "name": name, "is_official": True, "run_count": 1, "latest_version": version}


def _instant(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")

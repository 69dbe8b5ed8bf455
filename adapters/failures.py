"""What a prediction that did not succeed means to the client."""

import re
from collections.abc import Iterable

from adapters.errors import ApiError, ContentRefused, ModelBusy, PredictionFailed, PredictionStopped
from adapters.wire.replicate import Prediction

# Replicate's three-digit codes stand in parentheses at the end; the words come without them from community models.
_REFUSED = re.compile(
    r"\bE005\b|nsfw|flagged as sensitive|safety (?:filter|checker|system)|content polic|moderation", re.IGNORECASE
)
_BUSY = re.compile(r"\bE00[34]\b|high demand|temporarily unavailable")
_TIMED_OUT = re.compile(r"timed out|\bE6716\b", re.IGNORECASE)
_SIGNS = re.compile(r"nsfw|flagged|safety checker|total safe images: 0|content polic|sensitive", re.IGNORECASE)
_LONGEST = 300
_PRIVATE = 8


def failure(prediction: Prediction, private: Iterable[str] = ()) -> ApiError | None:
    """The error this prediction is; None if it succeeded. Texts in `private` (what the client wrote, what the
    operator keeps secret) never appear."""
    if prediction.status == "succeeded":
        return None
    if prediction.status in ("canceled", "aborted"):
        return PredictionStopped(f"The prediction was {prediction.status} before it had an answer.")
    return failure_told(prediction.error or "", private)


def failure_told(detail: str, private: Iterable[str] = ()) -> ApiError:
    """The error behind the model's own words."""
    words = _trimmed(detail, private)
    if _REFUSED.search(detail):
        return ContentRefused(words or "The model refused this prompt or its output.")
    if _BUSY.search(detail):
        return ModelBusy(words, retry_after=10)
    if _TIMED_OUT.search(detail):
        return PredictionStopped(words)
    return PredictionFailed(f"The model failed: {words}" if words else "The model failed and did not say why.")


def hints_refusal(logs: str | None) -> bool:
    """The model's logs speak of its filter: fewer images than asked are then its doing."""
    return bool(logs and _SIGNS.search(logs))


def _trimmed(detail: str, private: Iterable[str]) -> str:
    # Of a traceback only the last line says what happened.
    lines = [line.strip() for line in detail.strip().splitlines() if line.strip()]
    text = lines[-1] if lines and "Traceback" in detail else " ".join(lines)
    for secret in sorted(private, key=len, reverse=True):
        for said in (secret.strip(), " ".join(secret.split())):
            if len(said) >= _PRIVATE:
                text = text.replace(said, "[…]")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()}…"

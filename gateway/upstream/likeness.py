"""Knowing a prediction again by what it was made of: Replicate has no idempotency key, but it echoes the inputs."""

import hashlib
from typing import Any

import msgspec

from adapters.wire.replicate import Inputs, Prediction
from gateway.upstream.models import Model


def digest(inputs: Inputs) -> str:
    """Of the inputs as Replicate echoes them: key order and 1 or 1.0 make no difference. Hexadecimal SHA-256."""
    return hashlib.sha256(msgspec.json.encode(_canonical(inputs), order="sorted")).hexdigest()


def alike(prediction: Prediction, model: Model, inputs_digest: str) -> bool:
    """Whether this prediction is of this model and these inputs."""
    if prediction.model != model.path and (model.ref.path or prediction.version != model.ref.version):
        return False
    inputs = msgspec.json.decode(prediction.input, type=dict[str, Any] | None)
    return inputs is not None and digest(inputs) == inputs_digest


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

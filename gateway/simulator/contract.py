"""Replicate's published contract, pared down to facts, and the bodies it allows."""

from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
import msgspec

from gateway.simulator.problems import bad_request, invalid
from gateway.simulator.schemas import resolve
from gateway.simulator.validation import invalid_fields


@cache
def contract() -> dict[str, Any]:
    """Return the OpenAPI document without its prose."""
    content = (files("gateway.simulator") / "contract.json").read_bytes()
    return msgspec.json.decode(content, type=dict[str, Any])


@cache
def _body_validator(operation: str) -> jsonschema_rs.Draft202012Validator:
    schemas = contract()["components"]["schemas"]
    for methods in contract()["paths"].values():
        for described in methods.values():
            if described["operationId"] == operation:
                body = described["requestBody"]["content"]["application/json"]["schema"]
                return jsonschema_rs.Draft202012Validator(resolve(body, schemas))
    raise LookupError(operation)


def read_body(content: bytes, operation: str) -> dict[str, Any]:
    """Return a request's JSON body; raise `Problem` when it is none, or none the contract allows."""
    try:
        body = msgspec.json.decode(content or b"{}")
    except msgspec.DecodeError as error:
        raise bad_request(f"JSON parse error - {error}") from error
    validator = _body_validator(operation)
    if not validator.is_valid(body):
        raise invalid(invalid_fields(validator, body))
    return dict(body)

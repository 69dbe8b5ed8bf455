"""Models that answer with a verdict, and those that train."""

import io
import zipfile
from functools import partial
from typing import Any

from gateway.simulator.performance import Made, Performance, Piece
from gateway.simulator.players.part import Part


def value(part: Part) -> Performance:
    """Answer what the record's example answers; without one, the plainest value the schema allows."""
    output = part.example if part.example is not None else _plainest(part.version.schema.output)
    return Performance(pieces=(Piece(output),), listed=False, streams=False)


def _plainest(schema: dict[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _plainest(properties[name]) for name in properties}
        case "array":
            return [_plainest(schema.get("items", {}))]
        case "number":
            return 0.5
        case "integer":
            return 1
        case "boolean":
            return True
    return "nothing out of the ordinary"


def weights(part: Part) -> Performance:
    """Answer with an archive that names what it was trained on."""
    made = Made(name="output.zip", media_type="application/zip", content=partial(_archive, dict(part.inputs)))
    return Performance(pieces=(Piece(made),), listed=False, streams=False, files=True)


def _archive(inputs: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("trained-on.txt", (2024, 1, 1, 0, 0, 0))
        archive.writestr(entry, "".join(f"{name}: {inputs[name]}\n" for name in sorted(inputs)))
    return file.getvalue()

"""Turns an input into a performance, by what the model plays."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.simulator.conversation import carried, read
from gateway.simulator.outputs import Outputs
from gateway.simulator.painter import Drawing, drawings
from gateway.simulator.performance import Made, Numbers, Performance, Piece
from gateway.simulator.records import Counts, Model, Version
from gateway.simulator.scenes import Scene
from gateway.simulator.settings import Settings, TokenCounts
from gateway.simulator.writer import count, tokens, write


class Part(Struct, frozen=True, kw_only=True):
    """What there is to play from."""

    model: Model
    version: Version
    inputs: Mapping[str, Any]
    """The input with the schema's defaults."""
    scene: Scene
    settings: Settings
    token_counts: TokenCounts
    outputs: Outputs

    @property
    def name(self) -> str:
        return self.model.full_name


def play(part: Part) -> Performance:
    """Return the performance of a model for an input."""
    if part.scene.output is not None:
        return _scripted(part)
    return _PLAYERS[part.model.ways.plays](part)


def _scripted(part: Part) -> Performance:
    output = msgspec.json.decode(part.scene.output or "null")
    if isinstance(output, list):
        return Performance(pieces=tuple(Piece(item) for item in output), listed=True)
    return Performance(pieces=(Piece(output),), listed=False)


def _text(part: Part) -> Performance:
    conversation = read(part.inputs)
    pieces, _ = write(conversation, part.inputs, part.name, part.scene)
    told = carried(part.inputs) or " ".join(turn.text for turn in conversation.turns)
    asked = count(told) + count(conversation.system)
    streams = part.version.schema.kind == "tokens"
    return Performance(
        pieces=tuple(map(Piece, pieces)) if streams else (Piece("".join(pieces)),),
        listed=streams,
        streams=streams,
        closing=("",) if streams else (),
        log=_token_lines(part, asked, pieces),
        counts=_token_counts(part, asked, len(pieces)),
    )


def _token_lines(part: Part, asked: int, pieces: list[str]) -> str:
    if part.model.ways.counts != "logs":
        return ""
    lines = (
        f"Input token count: {asked}",
        f"Output token count: {len(pieces)}",
        "- Reasoning tokens: 0",
        f"Total token count: {asked + len(pieces)}",
        "TTFT: 0.22s",
    )
    return "\n".join(lines) + "\n"


def _token_counts(part: Part, asked: int, whole: int) -> Callable[[int], Numbers]:
    kind: Counts | TokenCounts = part.token_counts
    if kind == "record":
        kind = part.model.ways.counts

    def counts(put_out: int) -> Numbers:
        answered = put_out if part.version.schema.kind == "tokens" else whole
        runtime = {"input_token_count": asked, "output_token_count": answered}
        billing = {"token_input_count": asked, "token_output_count": answered}
        return {"runtime": runtime, "billing": billing, "both": runtime | billing}.get(kind, {})

    return counts


def _picture(part: Part) -> Performance:
    pictures = drawings(part.inputs, part.name, _example_extension(part.model, "png"))
    if part.version.schema.kind == "file":
        pictures = pictures[:1]
    pieces = tuple(Piece(_picture_file(picture, len(pictures)), log=_bar(picture)) for picture in pictures)
    return Performance(
        pieces=pieces,
        listed=part.version.schema.kind != "file",
        log=f"Using seed: {pictures[0].seed}\n" + "".join(_steps(part.inputs)),
        counts=_picture_counts(part.model.ways.counts),
        streams=part.model.official,
        files=True,
        seconds=part.settings.picture_seconds,
    )


def _picture_file(picture: Drawing, among: int) -> Made:
    name = f"out-{picture.number}.{picture.format}" if among > 1 else f"out-0.{picture.format}"
    return Made.drawn(picture, name)


def _steps(inputs: Mapping[str, Any]) -> Iterator[str]:
    steps = inputs.get("num_inference_steps")
    total = steps if isinstance(steps, int) and 0 < steps <= 100 else 4
    for done in range(total + 1):
        share = done * 100 // total
        bar = "█" * (share // 10)
        yield f"{share:3d}%|{bar:<10}| {done}/{total} [00:00<00:00, 18.61it/s]\n"


def _bar(picture: Drawing) -> str:
    return f"Generated picture {picture.number + 1}\n"


def _picture_counts(counts: Counts) -> Callable[[int], Numbers]:
    name = {"runtime": "image_count", "billing": "image_output_count"}.get(counts)
    return lambda put_out: {name: put_out} if name else {}


def _example_extension(model: Model, otherwise: str) -> str:
    output = (model.record.get("default_example") or {}).get("output")
    first = output[0] if isinstance(output, list) and output else output
    if not isinstance(first, str) or "." not in first:
        return otherwise
    return first.rsplit(".", 1)[-1].lower()


def _hello(part: Part) -> Performance:
    greeting = f"hello {part.inputs.get('text', '')}"
    listed = part.version.schema.kind == "tokens"
    pieces = tuple(map(Piece, tokens(greeting))) if listed else (Piece(greeting),)
    return Performance(pieces=pieces, listed=listed, streams=listed)


_PLAYERS: dict[str, Callable[[Part], Performance]] = {
    "text": _text,
    "picture": _picture,
    "hello": _hello,
}

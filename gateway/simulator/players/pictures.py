"""Models that make pictures out of prompts or other pictures."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.simulator.painter import Drawing, drawings
from gateway.simulator.performance import Made, Numbers, Performance, Piece
from gateway.simulator.players.part import Part
from gateway.simulator.records import Counts


def picture(part: Part) -> Performance:
    seed = part.inputs.get("seed")
    inputs = part.inputs if isinstance(seed, int) else {**part.inputs, "seed": part.seed}
    pictures = drawings(inputs, part.name, part.extension("png"), part.open)
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

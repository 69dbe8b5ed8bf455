"""Models that make films."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.simulator.film import Film
from gateway.simulator.painter import drawings
from gateway.simulator.performance import Made, Performance, Piece
from gateway.simulator.players.part import Part

_SHAPES = {"landscape": (1280, 720), "portrait": (720, 1280)}
_LINES = {"480p": 480, "540p": 540, "720p": 720, "1080p": 1080}


def video(part: Part) -> Performance:
    """Make a film as long as asked, and no larger than is reasonable to draw."""
    length = _seconds(part.inputs)
    width, height = _frame(part)
    drawing = structs.replace(drawings(part.inputs, part.name, "jpg", part.open)[0], width=width, height=height)
    film = Film(drawing, length)
    made = Made(name="output.mp4", media_type="video/mp4", content=film.shoot)
    counts = {"video_output_count": 1, "video_output_duration_seconds": length}
    return Performance(
        pieces=(*(Piece(log=_bar(share)) for share in range(0, 100, 10)), Piece(made, log=_bar(100))),
        listed=part.version.schema.kind == "files",
        log=f"Using seed: {drawing.seed}\n",
        counts=lambda put_out: counts if part.model.ways.counts == "billing" else {},
        streams=part.model.official,
        files=True,
        seconds=part.settings.film_seconds,
    )


def _bar(share: int) -> str:
    return f"{share:3d}%|{'█' * (share // 10):<10}| {share // 2}/50 [00:00<00:00,  9.71it/s]\n"


def _seconds(inputs: Mapping[str, Any]) -> float:
    found = next((value for name in ("duration", "seconds") if (value := inputs.get(name)) is not None), None)
    if found is None and isinstance(frames := inputs.get("num_frames"), int):
        rate = inputs.get("fps")
        found = frames / (rate if isinstance(rate, int) and rate else 8)
    try:
        return min(max(float(found if found is not None else 5), 1.0), 20.0)
    except (TypeError, ValueError):
        return 5.0


def _frame(part: Part) -> tuple[int, int]:
    shape = _SHAPES.get(str(part.inputs.get("aspect_ratio")))
    width, height = shape or _of(part)
    lines = _LINES.get(str(part.inputs.get("resolution")), 720)
    scale = min(1.0, lines / min(width, height))
    return round(width * scale / 2) * 2, round(height * scale / 2) * 2


def _of(part: Part) -> tuple[int, int]:
    if part.inputs.get("aspect_ratio") is None and part.inputs.get("width") is None:
        return 1280, 720
    known = {key: value for key, value in part.inputs.items() if key in ("aspect_ratio", "width", "height")}
    drawing = drawings(known, part.name, "jpg", part.open)[0]
    return drawing.width, drawing.height

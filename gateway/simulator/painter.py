"""Pictures: real files of the size and format asked for, that show the prompt, the seed and the model."""

import io
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont

from gateway.simulator.retouching import Given, retouched
from gateway.simulator.writer import seeded

_PIXELS = re.compile(r"\s*(\d{2,5})\s*[x×]\s*(\d{2,5})")
_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)")
_MEGAPIXELS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:MP)?\s*\Z")
_SIDES = {"1K": 1024, "2K": 2048, "4K": 4096, "512": 512}
_COUNTS = ("num_outputs", "num_images", "number_of_images", "max_images", "batch_size", "n")
_GIVEN = ("image", "input_image", "img", "image_path", "image_prompt", "main_face_image", "image_input", "input_images")
_BLACK = ("ideogram-ai/",)  # whose masks' black is redrawn
_REMOVERS = re.compile(r"background|rembg|birefnet")
_SCALES = ("scale", "upscale", "scale_factor", "upscale_factor")
_LARGEST = 4096  # pixels a side
_MOST = 100  # pictures; some old schemas set no bound

MEDIA_TYPES = {"webp": "image/webp", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif"}


class Drawing(Struct, frozen=True, kw_only=True):
    """A picture to be, cheap to keep until somebody fetches it."""

    width: int
    height: int
    format: str
    quality: int
    prompt: str
    model: str
    seed: int
    number: int = 0
    given: Given | None = None

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    def paint(self) -> bytes:
        """Draw the picture and return the file."""
        picture = _background(self)
        edited = retouched(self.given, picture) if self.given else None
        # Outside of a mask, and around what is cut out, nothing is written.
        if self.given is None or not (self.given.mask or self.given.cut):
            _write(edited or picture, self)
        return _saved(edited or picture, self)


Open = Callable[[Any], bytes | None]


def drawings(inputs: Mapping[str, Any], model: str, fallback: str, open_: Open) -> list[Drawing]:
    """Return what an input asks for: as many pictures as it says, of its size and format (else the fallback's)."""
    width, height = size(inputs, open_)
    seed = inputs.get("seed")
    given = _given(inputs, model, open_)
    first = seed if isinstance(seed, int) else seeded(inputs, model).randrange(2**31)
    return [
        Drawing(
            width=width,
            height=height,
            format=_format(inputs, fallback),
            quality=_quality(inputs),
            prompt=str(inputs.get("prompt") or inputs.get("text") or ""),
            model=model,
            seed=first,
            number=number,
            given=given,
        )
        for number in range(_count(inputs))
    ]


def size(inputs: Mapping[str, Any], open_: Open) -> tuple[int, int]:
    """Return the width and height an input asks for, in pixels."""
    width, height = _whole(inputs.get("width")), _whole(inputs.get("height"))
    ratio = inputs.get("aspect_ratio")
    custom = ratio in (None, "custom", "match_input_image") and inputs.get("size") in (None, "custom")
    if width and height and custom:
        return _bounded(width, height)
    for name in ("resolution", "size"):
        if pixels := _PIXELS.match(str(inputs.get(name) or "")):
            return _bounded(int(pixels[1]), int(pixels[2]))
    if pixels := _PIXELS.match(str(ratio or "")):
        return _bounded(int(pixels[1]), int(pixels[2]))
    if shape := _RATIO.match(str(ratio or "")):
        return _of_ratio(float(shape[1]) / float(shape[2]), _area(inputs))
    given = _given_size(inputs, open_)
    if given:
        return given
    if width and height:
        return _bounded(width, height)
    side = round(math.sqrt(_area(inputs)))
    return side, side


def _area(inputs: Mapping[str, Any]) -> float:
    for name in ("size", "resolution", "image_size"):
        if side := _SIDES.get(str(inputs.get(name) or "")):
            return side * side
    for name in ("megapixels", "resolution"):
        if amount := _MEGAPIXELS.match(str(inputs.get(name) or "")):
            return float(amount[1]) * 1024 * 1024
    return 1024 * 1024


def _of_ratio(ratio: float, area: float) -> tuple[int, int]:
    height = math.sqrt(area / ratio)
    return _bounded(_sixteenth(height * ratio), _sixteenth(height))


def _sixteenth(length: float) -> int:
    return max(16, round(length / 16) * 16)


def _bounded(width: int, height: int) -> tuple[int, int]:
    return max(1, min(width, _LARGEST)), max(1, min(height, _LARGEST))


def _given_size(inputs: Mapping[str, Any], open_: Open) -> tuple[int, int] | None:
    """Return the size of the picture that was sent along, scaled if the input says so."""
    content = _picture(inputs, open_)
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except OSError:
        return None
    scale = next((float(inputs[name]) for name in _SCALES if isinstance(inputs.get(name), int | float)), 1.0)
    return _bounded(round(width * scale), round(height * scale))


def _picture(inputs: Mapping[str, Any], open_: Open) -> bytes | None:
    sent = (inputs.get(name) for name in _GIVEN)
    one = (each[0] if isinstance(each, list) and each else each for each in sent)
    return next((content for each in one if (content := open_(each))), None)


def _given(inputs: Mapping[str, Any], model: str, open_: Open) -> Given | None:
    picture = _picture(inputs, open_)
    if picture is None:
        return None
    return Given(
        picture=picture,
        mask=open_(inputs.get("mask")),
        black=model.startswith(_BLACK),
        cut=bool(_REMOVERS.search(model)),
    )


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _count(inputs: Mapping[str, Any]) -> int:
    if inputs.get("sequential_image_generation") == "disabled":
        return 1
    found = (int(inputs[name]) for name in _COUNTS if str(inputs.get(name) or "").isdigit())
    return max(1, min(next(found, 1), _MOST))


def _format(inputs: Mapping[str, Any], fallback: str) -> str:
    asked = str(inputs.get("output_format") or inputs.get("format") or "").lower()
    return asked if asked in MEDIA_TYPES else fallback if fallback in MEDIA_TYPES else "png"


def _quality(inputs: Mapping[str, Any]) -> int:
    found = inputs.get("output_quality", inputs.get("output_compression"))
    return max(1, min(found, 100)) if isinstance(found, int) else 80


def _background(drawing: Drawing) -> Image.Image:
    chance = seeded({"seed": drawing.seed, "number": drawing.number}, drawing.prompt)
    corners = bytes(channel for _ in range(4) for channel in (chance.randrange(40, 216) for _ in range(3)))
    small = Image.frombytes("RGB", (2, 2), corners)
    return small.resize((drawing.width, drawing.height), Image.Resampling.BILINEAR)


def _write(picture: Image.Image, drawing: Drawing) -> None:
    size_ = max(8, min(drawing.width, drawing.height) // 18)
    text = "\n".join(_lines(drawing, int(drawing.width / (size_ * 0.62)), int(drawing.height / (size_ * 1.4))))
    font, pen = ImageFont.load_default(size_), ImageDraw.Draw(picture)
    pen.multiline_text((size_ + 1, size_ + 1), text, fill=(0, 0, 0), font=font)
    pen.multiline_text((size_, size_), text, fill=(255, 255, 255), font=font)


def _lines(drawing: Drawing, columns: int, rows: int) -> list[str]:
    """Return what is written on a picture: what it is at the end, and before it as much of the prompt as has room."""
    facts = (drawing.model, f"seed {drawing.seed}, number {drawing.number + 1}")
    shape = f"{drawing.width} x {drawing.height} {drawing.format}"
    signed = [line for fact in (*facts, shape) for line in textwrap.wrap(fact, max(4, columns - 2))]
    room = max(1, rows - len(signed) - 2)
    prompt = textwrap.wrap(_plain(drawing.prompt), max(4, columns - 2), max_lines=room, placeholder=" ...")
    return [*prompt, "", *signed] if prompt else signed


def _plain(text: str) -> str:
    """Write a text in the letters Pillow's own font has: without accents, and with code points for other scripts."""
    return " ".join("".join(map(_drawable, text)).split())


def _drawable(letter: str) -> str:
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    if bare.isascii() and bare.isprintable():
        return bare
    return f"<{ord(letter):X}>" if letter.isprintable() else " "


def _saved(picture: Image.Image, drawing: Drawing) -> bytes:
    file = io.BytesIO()
    format_ = {"jpg": "JPEG", "jpeg": "JPEG"}.get(drawing.format, drawing.format.upper())
    options: dict[str, Any] = {"quality": drawing.quality} if format_ in ("JPEG", "WEBP") else {}
    if format_ == "WEBP":
        options["method"] = 0
    if format_ == "JPEG":
        picture = picture.convert("RGB")
    picture.save(file, format_, **options)
    return file.getvalue()

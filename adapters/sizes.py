"""The rule for sizes: pixels where a model takes them, else a listed size, else a ratio and about as many pixels."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from adapters.base import Adjusted
from adapters.fitting import closest
from adapters.schema import Input, Schema
from adapters.wire.replicate import Inputs

AUTO = "auto"

_PIXELS = re.compile(r"^\s*(\d{1,5})\s*[xX×*]\s*(\d{1,5})\s*$")
_PAIR = re.compile(r"(\d+(?:\.\d+)?)\s*[xX×*:/_]\s*(\d+(?:\.\d+)?)")
_MEGA = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(?:mp|megapixels?)?\s*$", re.IGNORECASE)
_KILO = re.compile(r"^\s*([1248])\s*k\s*$", re.IGNORECASE)
_LINES = re.compile(r"^\s*(\d{3,4})\s*p\s*$", re.IGNORECASE)
_MULTIPLE = re.compile(r"multiples? of (\d+)", re.IGNORECASE)

_SIDES = (
    ("width", "height"),
    ("image_width", "image_height"),
    ("output_width", "output_height"),
    ("target_width", "target_height"),
    ("w", "h"),
    ("size_x", "size_y"),
    ("side_x", "side_y"),
    ("size_width", "size_height"),
)
_LISTED = ("size", "image_size", "resolution", "image_resolution", "dimensions", "image_dimensions", "output_size")
_RATIOS = ("aspect_ratio", "ratio", "aspect", "orientation", "image_aspect_ratio", "aspectratio", "size", "image_size")
_AREAS = ("megapixels", "output_megapixels", "resolution", "image_resolution", "size", "image_size", "quality")
_SQUARES = ("size", "image_size", "resolution", "image_resolution", "output_size")
_CUSTOM = "custom"
_SHAPES = {
    "square": 1.0,
    "portrait": 2 / 3,
    "landscape": 3 / 2,
    "vertical": 9 / 16,
    "horizontal": 16 / 9,
    "wide": 16 / 9,
}
_FREE_STEP = 16
_CLOSE = 0.01
"""Ratios this near (1 %) are the same."""


class Pixels(NamedTuple):
    """What a client asks for."""

    width: int
    height: int

    @property
    def ratio(self) -> float:
        return self.width / self.height

    @property
    def area(self) -> int:
        return self.width * self.height


def size_rule(value: Any, schema: Schema) -> Inputs:
    """`auto` is the model's own choice; one of the model's own words is taken as it is; WxH by the rule above.

    What comes close only is marked `Adjusted`; {} where the model has no say in its size.
    """
    if own := _own_word(str(value), schema):
        return own
    asked = _PIXELS.match(str(value))
    if not asked or not int(asked[1]) or not int(asked[2]):
        return {}
    pixels = Pixels(int(asked[1]), int(asked[2]))
    for attempt in _ATTEMPTS:
        if found := attempt(pixels, schema):
            return found
    return {}


def _own_word(value: str, schema: Schema) -> Inputs:
    for name in dict.fromkeys((*_LISTED, *_RATIOS, *_AREAS)):
        given = schema.get(name)
        if given and given.enum and (word := _word_of(given, value)) is not None:
            return {name: word}
    return {}


def _word_of(given: Input, value: str) -> Any | None:
    return next((word for word in given.enum if str(word).strip().lower() == value.strip().lower()), None)


def _listed_exactly(pixels: Pixels, schema: Schema) -> Inputs:
    for name, sizes in _lists(schema):
        for word, size in sizes:
            if size == pixels:
                return {name: word}
    return {}


def _sides(pixels: Pixels, schema: Schema) -> Inputs:
    for names in _SIDES:
        wide, high = (schema.get(name) for name in names)
        if wide is None or high is None:
            continue
        if wide.enum and high.enum:
            return _nearest_pair(pixels, wide, high)
        # A bound that cannot be met leaves it to lists and ratios, where the model has such.
        fit = _within(pixels, wide, high)
        exact = fit == pixels
        if exact or not _shaped_otherwise(schema):
            inputs = {wide.name: fit.width, high.name: fit.height, **_custom(schema)}
            return inputs if exact else Adjusted(inputs)
    return {}


def _custom(schema: Schema) -> Inputs:
    """Width and height count only where ratio or size is `custom`, in models that have that word."""
    inputs: Inputs = {}
    for name in ("aspect_ratio", "size", "resolution", "image_size"):
        given = schema.get(name)
        if given and given.enum and (word := _word_of(given, _CUSTOM)) is not None:
            inputs[name] = word
    return inputs


def _shaped_otherwise(schema: Schema) -> bool:
    return bool(_lists(schema))


def _within(pixels: Pixels, wide: Input, high: Input) -> Pixels:
    """The same shape inside both sides' bounds, as far as there is one, on the step the model wants."""
    scale = min(
        [side.maximum / asked for side, asked in ((wide, pixels.width), (high, pixels.height)) if side.maximum] + [1.0]
    )
    least = max(
        [side.minimum / asked for side, asked in ((wide, pixels.width), (high, pixels.height)) if side.minimum] + [0.0]
    )
    scale = max(scale, least)
    # Free to choose, choose what every diffusion model can draw.
    free = 1 if scale == 1 else _FREE_STEP
    return Pixels(_stepped(pixels.width * scale, wide, free), _stepped(pixels.height * scale, high, free))


def _stepped(number: float, side: Input, free: int = 1) -> int:
    step = math.lcm(_step(side), free)
    near = round(number / step) * step
    if side.maximum is not None and near > side.maximum:
        near = math.floor(side.maximum / step) * step
    if side.minimum is not None and near < side.minimum:
        near = math.ceil(side.minimum / step) * step
    return int(near)


def _step(side: Input) -> int:
    if side.step:
        return max(1, int(side.step))
    # "Will be rounded" is the model's own business; "must be" is ours.
    told = _MULTIPLE.search(side.words)
    strict = told and "rounded" not in side.words.lower()
    return int(told[1]) if told and strict else 1


def _nearest_pair(pixels: Pixels, wide: Input, high: Input) -> Inputs:
    inputs = {wide.name: closest(wide.enum, pixels.width), high.name: closest(high.enum, pixels.height)}
    exact = (float(inputs[wide.name]), float(inputs[high.name])) == pixels
    pairs = [(w, h) for w in wide.enum for h in high.enum]
    if not exact:
        best = min(pairs, key=lambda pair: _distance(pixels, Pixels(int(float(pair[0])), int(float(pair[1])))))
        inputs = {wide.name: best[0], high.name: best[1]}
    return inputs if exact else Adjusted(inputs)


def _listed_nearly(pixels: Pixels, schema: Schema) -> Inputs:
    for name, sizes in _lists(schema):
        word, _ = min(sizes, key=lambda item: _distance(pixels, item[1]))
        return Adjusted({name: word})
    return {}


def _distance(asked: Pixels, offered: Pixels) -> float:
    # A wrong shape is worse than a wrong number of pixels.
    return 4 * abs(math.log(offered.ratio / asked.ratio)) + abs(math.log(offered.area / asked.area))


def _ratio_and_area(pixels: Pixels, schema: Schema) -> Inputs:
    shape, area = _ratio(pixels, schema), _area(pixels, schema)
    if not shape and not area:
        return {}
    exact = bool(area) and not isinstance(area, Adjusted) and not isinstance(shape, Adjusted)
    inputs = {**area, **shape}
    return inputs if exact and shape else Adjusted(inputs)


def _ratio(pixels: Pixels, schema: Schema) -> Inputs:
    for name in _RATIOS:
        given = schema.get(name)
        if given is None:
            continue
        shapes = [(word, ratio) for word in given.enum if (ratio := _shape(str(word))) is not None]
        if shapes:
            word, ratio = min(shapes, key=lambda item: abs(math.log(item[1] / pixels.ratio)))
            near = abs(ratio / pixels.ratio - 1) <= _CLOSE
            return {name: word} if near else Adjusted({name: word})
        if not given.enum and given.kind == "string" and name in ("aspect_ratio", "ratio"):
            divisor = math.gcd(*pixels)
            return {name: f"{pixels.width // divisor}:{pixels.height // divisor}"}
    return {}


def _shape(word: str) -> float | None:
    if pair := _PAIR.search(word):
        first, second = float(pair[1]), float(pair[2])
        ratio = first / second if second else None
        # fal's way of writing: portrait_4_3 is 3:4.
        turned = ratio and ratio > 1 and "portrait" in word.lower() and ":" not in word
        return 1 / ratio if ratio and turned else ratio
    return next((ratio for shape, ratio in _SHAPES.items() if shape in word.lower()), None)


def _area(pixels: Pixels, schema: Schema) -> Inputs:
    for name in _AREAS:
        given = schema.get(name)
        if given is None:
            continue
        areas = [(word, area) for word in given.enum if (area := _pixels_in(word, name)) is not None]
        if areas and len(areas) >= len(given.enum) - 2:
            word, area = min(areas, key=lambda item: abs(math.log(item[1] / pixels.area)))
            return {name: word} if abs(area / pixels.area - 1) <= 0.1 else Adjusted({name: word})
    return {}


def _pixels_in(word: Any, name: str) -> float | None:
    text = str(word)
    if kilo := _KILO.match(text):
        return (int(kilo[1]) * 1024) ** 2
    if lines := _LINES.match(text):
        return int(lines[1]) ** 2 * 16 / 9
    if "megapixel" in name or "mp" in text.lower():
        mega = _MEGA.match(text)
        return float(mega[1]) * 1024 * 1024 if mega and float(mega[1]) else None
    return None


def _square(pixels: Pixels, schema: Schema) -> Inputs:
    """One number for both sides."""
    for name in _SQUARES:
        given = schema.get(name)
        if given is None:
            continue
        side = round(math.sqrt(pixels.area))
        numbers = [word for word in given.enum if str(word).strip().isdigit()]
        if numbers and len(numbers) >= len(given.enum) - 1:
            near = closest(numbers, side)
            return {name: near} if Pixels(int(near), int(near)) == pixels else Adjusted({name: near})
        if not given.enum and given.kind == "integer":
            near = _stepped(min(max(side, given.minimum or 1), given.maximum or side), given)
            return {name: near} if Pixels(near, near) == pixels else Adjusted({name: near})
    return {}


def _lists(schema: Schema) -> list[tuple[str, list[tuple[Any, Pixels]]]]:
    """The inputs that list sizes in pixels, with each word's size."""
    found: list[tuple[str, list[tuple[Any, Pixels]]]] = []
    for name in (*_LISTED, "aspect_ratio"):
        given = schema.get(name)
        sizes = [(word, size) for word in (given.enum if given else ()) if (size := _size_in(str(word)))]
        if sizes:
            found.append((name, sizes))
    return found


def _size_in(word: str) -> Pixels | None:
    for pair in _PAIR.finditer(word):
        if float(pair[1]) >= 64 and float(pair[2]) >= 64:
            return Pixels(int(float(pair[1])), int(float(pair[2])))
    return None


_ATTEMPTS: Sequence[Callable[[Pixels, Schema], Inputs]] = (
    _listed_exactly,
    _sides,
    _listed_nearly,
    _ratio_and_area,
    _square,
)

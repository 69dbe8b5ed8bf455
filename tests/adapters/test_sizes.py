"""A size becomes what the model has for it, as near as it can be."""

from typing import Any

import pytest

from adapters.base import Adjusted
from adapters.schema import Schema
from adapters.sizes import size_rule


def schema(**properties: Any) -> Schema:
    return Schema.parse({"components": {"schemas": {"Input": {"properties": properties}}}})


def choice(*words: Any) -> dict[str, Any]:
    return {"enum": list(words)}


def side(**more: Any) -> dict[str, Any]:
    return {"type": "integer", **more}


FREE = schema(width=side(), height=side())
BOUND = schema(width=side(minimum=256, maximum=1440), height=side(minimum=256, maximum=1440))
RATIOS = schema(aspect_ratio=choice("1:1", "16:9", "3:2", "2:3"))
MEGA = schema(aspect_ratio=choice("1:1", "16:9"), megapixels=choice("1", "0.25"))
WORDS = schema(image_size=choice("square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3"))
LABELS = schema(aspect_ratio=choice("Square (1:1)", "Landscape (16:9)", "Portrait (9:16)"))
KILO = schema(resolution=choice("1K", "2K", "4K"), aspect_ratio=choice("match_input_image", "1:1", "16:9"))


@pytest.mark.parametrize(
    ("model", "size", "inputs", "exact"),
    [
        (FREE, "1000x777", {"width": 1000, "height": 777}, True),
        (FREE, "1024 X 1024", {"width": 1024, "height": 1024}, True),
        (FREE, "1024×512", {"width": 1024, "height": 512}, True),
        (BOUND, "2880x1440", {"width": 1440, "height": 720}, False),
        (BOUND, "128x128", {"width": 256, "height": 256}, False),
        (BOUND, "4000x100", {"width": 1440, "height": 256}, False),
        (schema(width=side(description="Must be a multiple of 32"), height=side(multipleOf=8)), "1000x1000",
         {"width": 992, "height": 1000}, False),
        (schema(width=choice(512, 768), height=choice(512, 768)), "768x512", {"width": 768, "height": 512}, True),
        (schema(width=choice(512, 768), height=choice(512, 768)), "1024x1024", {"width": 768, "height": 768}, False),
        (schema(size=choice("1024x1024", "1536x1024")), "1536x1024", {"size": "1536x1024"}, True),
        (schema(size=choice("1024x1024", "1024x1536")), "700x1400", {"size": "1024x1536"}, False),
        (schema(resolution=choice("None", "1024*1024")), "1024x1024", {"resolution": "1024*1024"}, True),
        (RATIOS, "1536x1024", {"aspect_ratio": "3:2"}, False),
        (MEGA, "1024x1024", {"megapixels": "1", "aspect_ratio": "1:1"}, True),
        (MEGA, "512x512", {"megapixels": "0.25", "aspect_ratio": "1:1"}, True),
        (MEGA, "1792x1024", {"megapixels": "1", "aspect_ratio": "16:9"}, False),
        (WORDS, "768x1024", {"image_size": "portrait_4_3"}, False),
        (WORDS, "1024x768", {"image_size": "landscape_4_3"}, False),
        (LABELS, "1080x1920", {"aspect_ratio": "Portrait (9:16)"}, False),
        (KILO, "2048x2048", {"resolution": "2K", "aspect_ratio": "1:1"}, True),
        (schema(aspect_ratio={"type": "string"}), "1024x768", {"aspect_ratio": "4:3"}, False),
        (schema(image_size=side(maximum=1024)), "2000x2000", {"image_size": 1024}, False),
        (schema(image_size=side()), "512x512", {"image_size": 512}, True),
        (RATIOS, "16:9", {"aspect_ratio": "16:9"}, True),
        (KILO, "4k", {"resolution": "4K"}, True),
        (schema(seed=side()), "512x512", {}, True),
        (FREE, "big", {}, True),
        (FREE, "0x512", {}, True),
    ],
)  # fmt: skip
def test_sizes_find_their_place(model: Schema, size: str, inputs: dict[str, Any], exact: bool) -> None:
    found = size_rule(size, model)
    assert dict(found) == inputs
    assert isinstance(found, Adjusted) != exact


@pytest.mark.parametrize("name", ["aspect_ratio", "size"])
def test_pixels_count_only_where_the_model_is_told_so(name: str) -> None:
    model = schema(**{name: choice("1:1", "custom")}, width=side(minimum=64), height=side(minimum=64))
    assert size_rule("640x480", model) == {"width": 640, "height": 480, name: "custom"}

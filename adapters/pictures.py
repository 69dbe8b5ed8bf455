"""Which of a model's inputs take the client's files, and in what order."""

import re

from adapters.media import Medium
from adapters.schema import Input, Schema

_MAIN = {
    "image": ("image", "input_image", "image_path", "image_url", "img", "img_url", "image_file", "input", "file"),
    "audio": ("audio", "audio_file", "audio_path", "audio_url", "input_audio", "file"),
    "video": ("video", "input_video", "video_path", "video_url", "video_file", "media", "file"),
}  # fmt: skip
_ASIDE = re.compile(r"mask|control|lora|weights|style|pose|depth|archive|reference|last|end_")


def places_for(schema: Schema, medium: Medium, first: tuple[str, ...] = ()) -> list[Input]:
    """The inputs for files of this medium: a list if there is one, else the main one and its numbered siblings."""
    found = [each for each in schema.files if each.medium in (medium, "file")]
    for name in (*first, *_MAIN.get(medium, ())):
        main = next((each for each in found if each.name == name), None)
        if main and not main.many:
            many = [each for each in found if each.many and each.medium == medium]
            return many[:1] if many and main.settled else [main, *_siblings(main, found)]
    fitting = [each for each in found if each.medium == medium and not _ASIDE.search(each.name)]
    if many := [each for each in fitting if each.many]:
        return many[:1]
    required = [each for each in found if each.medium == medium and not each.settled]
    main = next(iter([*required, *fitting]), None)
    return [main, *_siblings(main, found)] if main else []


def _siblings(main: Input, found: list[Input]) -> list[Input]:
    stem = main.name.rstrip("0123456789").rstrip("_")
    numbered = re.compile(rf"{re.escape(stem)}_?\d+")
    return [each for each in found if each is not main and not each.many and numbered.fullmatch(each.name)]

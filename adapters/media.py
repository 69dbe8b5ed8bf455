"""What kind of thing a file is, by its name, its words or its address."""

import re
from collections.abc import Mapping
from typing import Any, Literal

Medium = Literal["image", "audio", "video", "model3d", "archive", "file", "unknown"]

EMBEDDABLE: Mapping[str, Medium] = {
    "image": "image",
    "image_url": "image",
    "img_url": "image",
    "image_path": "image",
    "input_image": "image",
    "image_file": "image",
    "audio": "audio",
    "audio_url": "audio",
    "audio_path": "audio",
    "audio_file": "audio",
    "video": "video",
    "video_url": "video",
    "video_path": "video",
    "video_file": "video",
}
"""Plain string inputs of these names take a file's address, though their schema does not say so."""

_KNOWN: Mapping[Medium, str] = {
    "image": "png jpg jpeg webp gif svg bmp tif tiff avif heic",
    "audio": "wav mp3 ogg flac m4a aac opus mid midi",
    "video": "mp4 webm mov mkv avi m4v",
    "model3d": "glb gltf obj ply stl usdz fbx splat",
    "archive": "zip tar tgz gz safetensors ckpt pt pth bin",
    "file": "json txt csv pdf srt vtt md html npy npz xml",
}
_EXTENSIONS = {extension: medium for medium, known in _KNOWN.items() for extension in known.split()}
_TYPES: Mapping[str, Medium] = {"image": "image", "audio": "audio", "video": "video"}
_EXTENSION = re.compile(r"\.([a-z0-9]{2,11})(?:[?#].*)?$")
_WORDS: tuple[tuple[Medium, re.Pattern[str]], ...] = (
    ("archive", re.compile(r"zip|archive|tar\b|weights|lora|checkpoint|safetensors")),
    ("audio", re.compile(r"audio|voice|speaker|sound|song|speech|vocal|music|wav\b|mp3")),
    ("video", re.compile(r"video|movie|film")),
    ("image", re.compile(r"image|img|photo|picture|face|mask|frame|portrait|sketch|garm|human|pose|logo|selfie")),
    ("file", re.compile(r"document|pdf|\bdoc|json|csv|subtitle|transcript|text")),
)


def medium_of_name(name: str, words: str = "") -> Medium | None:
    """By the input's name, else by what its schema says of it."""
    for text in (name.lower(), words.lower()):
        for medium, pattern in _WORDS:
            if pattern.search(text):
                return medium
    return None


def medium_of_address(text: str) -> Medium | None:
    """Of a URL by its extension (`unknown` without one that tells), of a data URI by its type; None for what is no
    address."""
    if text.startswith("data:"):
        return _TYPES.get(text[5:16].partition("/")[0], "file")
    if not text.startswith(("http://", "https://")) or any(space in text for space in " \n"):
        return None
    found = _EXTENSION.search(text.lower())
    return _EXTENSIONS.get(found[1], "unknown") if found else "unknown"


def ending_of(value: Any) -> str | None:
    """The file name's ending of the first address in an output, where it has one that is known."""
    if isinstance(value, str):
        found = _EXTENSION.search(value.lower()) if medium_of_address(value) else None
        return found[1] if found and found[1] in _EXTENSIONS else None
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next(filter(None, map(ending_of, values)), None)


def medium_of_output(value: Any) -> Medium | None:
    """Of the first address in an output of whatever shape; None when it holds none."""
    if isinstance(value, str):
        return medium_of_address(value)
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    found = [medium for each in values if (medium := medium_of_output(each))]
    return found[0] if found else None

"""What kind of file some bytes are, judged by how they begin; by a name's ending only where bytes cannot tell."""

import re
from pathlib import PurePosixPath

OCTETS = "application/octet-stream"

ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/heic": "heic",
    "image/bmp": "bmp",
    "image/tiff": "tif",
    "image/svg+xml": "svg",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-matroska": "mkv",
    "video/x-msvideo": "avi",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/aac": "aac",
    "audio/mp4": "m4a",
    "audio/midi": "mid",
    "model/gltf-binary": "glb",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/gzip": "gz",
    "application/x-tar": "tar",
    "application/json": "json",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/vtt": "vtt",
    "application/x-subrip": "srt",
    "model/obj": "obj",
    "model/ply": "ply",
    "model/stl": "stl",
    OCTETS: "bin",
}
"""Content type → the ending our copies get. HTML is not among them: nothing a model made runs on our origin."""

SNIFFED = 512
"""So many first bytes are enough."""

_TYPES = {ending: kind for kind, ending in ENDINGS.items()}
_BY_NAME_ONLY = {"json", "txt", "csv", "vtt", "srt", "obj", "ply", "stl"}

_SIGNS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(sign, re.DOTALL), kind)
    for sign, kind in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBP", "image/webp"),
        (rb"RIFF....WAVE", "audio/wav"),
        (rb"RIFF....AVI ", "video/x-msvideo"),
        (rb"....ftyp(avif|avis)", "image/avif"),
        (rb"....ftyp(heic|heix|mif1)", "image/heic"),
        (rb"....ftypqt  ", "video/quicktime"),
        (rb"....ftypM4[AB] ", "audio/mp4"),
        (rb"....ftyp", "video/mp4"),
        (rb"BM....\x00\x00\x00\x00", "image/bmp"),
        (rb"II\*\x00|MM\x00\*", "image/tiff"),
        (rb"\x1a\x45\xdf\xa3.*webm", "video/webm"),
        (rb"\x1a\x45\xdf\xa3", "video/x-matroska"),
        (rb"fLaC", "audio/flac"),
        (rb"OggS", "audio/ogg"),
        (rb"ID3|\xff[\xfa\xfb\xf2\xf3\xe3]", "audio/mpeg"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
        (rb"MThd", "audio/midi"),
        (rb"glTF", "model/gltf-binary"),
        (rb"%PDF-", "application/pdf"),
        (rb"PK\x03\x04", "application/zip"),
        (rb"\x1f\x8b", "application/gzip"),
        (rb".{257}ustar", "application/x-tar"),
        (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]", "image/svg+xml"),
        (rb"(\xef\xbb\xbf)?WEBVTT", "text/vtt"),
    )
)


def sniffed(begin: bytes, name: str = "") -> str:
    """The content type of what begins like this. Where the bytes have no sign, a name (the address it came from) may
    say which kind of text or model it is."""
    kind = next((kind for sign, kind in _SIGNS if sign.match(begin)), None)
    if kind:
        return kind
    ending = PurePosixPath(name).suffix.removeprefix(".").lower()
    return _TYPES[ending] if ending in _BY_NAME_ONLY else OCTETS


def named(name: str) -> str:
    """The content type of a copy with this name."""
    return _TYPES.get(PurePosixPath(name).suffix.removeprefix("."), OCTETS)

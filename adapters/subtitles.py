"""Subtitles: SRT and WebVTT out of timed lines, and timed lines out of either."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

_TIMES = re.compile(r"((?:\d+:)?\d+:\d+[.,]\d+)[ \t]*-->[ \t]*((?:\d+:)?\d+:\d+[.,]\d+)")
_MARK = re.compile(r"<[^>\n]*>")


class Line(Struct, frozen=True):
    """Something said, from `start` to `end` in seconds."""

    start: float
    end: float
    text: str


def srt(lines: Iterable[Line]) -> str:
    """The lines as SubRip has them: numbered, with commas before the milliseconds."""
    cues = (
        f"{number}\n{clock(line.start, ',')} --> {clock(line.end, ',')}\n{_plain(line.text)}\n"
        for number, line in enumerate(lines, 1)
    )
    return "\n".join(cues)


def vtt(lines: Iterable[Line]) -> str:
    """The lines as WebVTT, whose text knows no bare `&` and `<`."""
    cues = (f"{clock(line.start)} --> {clock(line.end)}\n{_escaped(_plain(line.text))}\n" for line in lines)
    return "WEBVTT\n\n" + "\n".join(cues)


def clock(seconds: float, point: str = ".") -> str:
    """An instant as 00:00:00.000, to the nearest millisecond."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}{point}{thousandths:03d}"


def instant(written: str) -> float:
    """Seconds, of a clock with or without hours."""
    total = 0.0
    for part in written.replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return total


def lines_of(written: str) -> Sequence[Line]:
    """The lines of subtitles in either form; none where a text is no subtitles."""
    lines: list[Line] = []
    for block in re.split(r"\n[ \t]*\n", written.replace("\r\n", "\n")):
        head, times, text = _parted(block)
        if times and (not head or head.count("\n") <= 1):
            words = " ".join(_MARK.sub("", text).split())
            unescaped = words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            lines.append(Line(instant(times[1]), instant(times[2]), unescaped))
    return lines


def _parted(block: str) -> tuple[str, re.Match[str] | None, str]:
    found = _TIMES.search(block)
    if found is None:
        return block, None, ""
    return block[: found.start()], found, block[found.end() :].partition("\n")[2]


def _plain(text: str) -> str:
    # An empty line would end the cue, an arrow begin another.
    return " ".join(text.split()).replace("-->", "->")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")

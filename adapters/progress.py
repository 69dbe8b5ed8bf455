"""How far a prediction is, by what its model prints."""

import re

_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d+)?\s?%")
_SHARE = re.compile(r"(?<![\d./])(\d{1,5})\s?(?:/|of)\s?(\d{1,5})(?![\d./])")
# A bar that fills while weights come or go says nothing of the work itself.
_ASIDE = re.compile(r"load|download|fetch|unpack|extract|upload|warm|compil|boot|gpu|memory|vram|cache", re.IGNORECASE)
_LATEST = 20_000
MOST = 99
"""Until it is done, and its file is kept."""


def progress_of(logs: str | None) -> int:
    """From 0 to 99, by the latest line that tells: `45%|████`, `Progress: 45%`, `45/100`, `step 9 of 20`."""
    for line in reversed(re.split(r"[\r\n]+", (logs or "")[-_LATEST:])):
        if not _ASIDE.search(line) and (found := _told(line)) is not None:
            return found
    return 0


def _told(line: str) -> int | None:
    percents = [int(each) for each in _PERCENT.findall(line)]
    shares = [int(done) * 100 // int(total) for done, total in _SHARE.findall(line) if 0 < int(total) >= int(done)]
    likely = [each for each in (percents[-1:] or shares[-1:]) if each <= 100]
    return min(MOST, likely[0]) if likely else None

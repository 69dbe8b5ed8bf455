"""Models that judge: words by what they speak of, pictures by what their address says."""

import re
from typing import Any

from gateway.simulator.performance import Performance, Piece
from gateway.simulator.players.part import Part

_HAZARDS = {
    "S1": "kill murder shoot stab assassinate behead massacre",
    "S2": "steal fraud launder counterfeit smuggle hack phishing",
    "S4": "underage",
    "S6": "password ssn dox",
    "S8": "bomb grenade nerve explosive explosives",
    "S9": "vermin subhuman slur",
    "S10": "suicide overdose",
    "S11": "porn erotic nude naked",
}
_WORD = re.compile(r"[a-z]+")


def verdict(part: Part) -> Performance:
    """Answer in the words of the example: `safe` or `unsafe` with hazards, else `normal` or `nsfw`."""
    told = " ".join(_texts(list(part.inputs.values())))
    said = _guarded(told) if part.example in ("safe", "unsafe") else "nsfw" if "nsfw" in told else "normal"
    return Performance(pieces=(Piece(said),), listed=False, streams=False)


def _guarded(told: str) -> str:
    words = set(_WORD.findall(told.lower()))
    found = [hazard for hazard, signs in _HAZARDS.items() if words & set(signs.split())]
    return f"unsafe\n{','.join(found)}" if found else "safe"


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str) and not value.startswith("data:")]

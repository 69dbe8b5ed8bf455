"""A model's thoughts, told apart from its answer while both arrive in pieces."""

from typing import NamedTuple

_TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<thoughts>": "</thoughts>",
    "<reasoning>": "</reasoning>",
    "<reflection>": "</reflection>",
    "[THINK]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<seed:think>": "</seed:think>",
    "◁think▷": "◁/think▷",
    # gpt-oss gives thoughts a channel of their own.
    "<|channel|>analysis<|message|>": "<|end|>",
}
_BRIDGES = ("<|start|>assistant<|channel|>final<|message|>", "<|channel|>final<|message|>")
"""What may stand before an answer and is no part of it."""
_FIRST = frozenset(mark[0] for mark in (*_TAGS, *_BRIDGES))
_USUAL = "</think>"


class Told(NamedTuple):
    """What a piece of text turned out to be."""

    answer: str = ""
    thought: str = ""


class Thoughts:
    """Splits a text given in any pieces; the same text always splits the same.

    Thoughts come before the answer, each in its tags: once the answer has begun, it may speak *of* tags. Space around
    thoughts belongs to neither side. Nothing is held back but what may yet be part of a tag, or such space.
    `inside` is for models whose template has already opened the first thought.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._held = ""
        self._close = _USUAL if inside else ""
        self._fresh = self._lead = True
        self._thought = inside
        self.over = False
        """The answer has begun: whatever comes is part of it."""

    def feed(self, text: str) -> Told:
        """What is certain by now."""
        if self.over:
            return Told(answer=text)
        self._held += text
        return self._take(last=False)

    def close(self) -> Told:
        """The rest; an unclosed thought was one to the end."""
        return self._take(last=True)

    def _take(self, *, last: bool) -> Told:
        answer, thoughts = "", ""
        while self._held:
            before = self._held, self._close
            if self._close:
                thoughts += self._think(last=last)
            else:
                answer += self._begin(last=last)
            if (self._held, self._close) == before:
                break
        return Told(answer, thoughts)

    def _begin(self, *, last: bool) -> str:
        bare = self._held.lstrip()
        if self.over or (last and not bare):
            text, self._held = "" if self._thought else self._held, ""
            return text
        if bare and bare[0] not in _FIRST:
            return self._answer(bare)
        for tag, close in _TAGS.items():
            if bare.startswith(tag):
                self._held, self._close = bare[len(tag) :], close
                self._fresh = self._lead = self._thought = True
                return ""
        if bridge := next((bridge for bridge in _BRIDGES if bare.startswith(bridge)), None):
            self._held, self._thought = bare[len(bridge) :], True
            return ""
        if not last and any(mark.startswith(bare) for mark in (*_TAGS, *_BRIDGES)):
            return ""
        return self._answer(bare)

    def _answer(self, bare: str) -> str:
        text, self._held, self.over = bare if self._thought else self._held, "", True
        return text

    def _think(self, *, last: bool) -> str:
        if self._fresh and not self._open(last=last):
            return ""
        if self._lead:
            self._held = self._held.lstrip()
            self._lead = not self._held
        at = self._held.find(self._close)
        if at >= 0:
            text, self._held = self._held[:at].rstrip(), self._held[at + len(self._close) :]
            self._close = ""
            return text
        keep = 0 if last else unsure(self._held, (self._close,))
        # Space before the closing tag is dropped, so space at the end waits with it.
        text = self._held[: len(self._held) - keep].rstrip()
        self._held = "" if last else self._held[len(text) :]
        return text

    def _open(self, *, last: bool) -> bool:
        """Drops leading space, and an opening tag that repeats the template's; False while that is undecided."""
        bare = self._held.lstrip()
        opening = next(tag for tag, close in _TAGS.items() if close == self._close)
        if not last and opening.startswith(bare):
            return False
        self._held, self._fresh = bare.removeprefix(opening), False
        return True


def unsure(text: str, marks: tuple[str, ...]) -> int:
    """The length of the longest end of `text` that begins one of `marks` without being it."""
    longest = min(len(text), max(map(len, marks), default=0) - 1)
    for size in range(longest, 0, -1):
        end = text[-size:]
        if any(len(mark) > size and mark.startswith(end) for mark in marks):
            return size
    return 0

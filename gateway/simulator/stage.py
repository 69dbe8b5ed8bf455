"""Which scene a model's next prediction shows: the model's own, or one that was set for it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.simulator.records import Model
from gateway.simulator.scenes import SCENES, Scene


class Cue(Struct, kw_only=True):
    """A scene set for a model; `times` counts down, and never when null."""

    model: str
    scene: Scene
    times: int | None


class UnknownScene(Exception):
    """A scene, or a property of one, that does not exist."""


class Stage:
    """The cues, latest first. `*` stands for every model."""

    def __init__(self) -> None:
        self._cues: list[Cue] = []

    def __iter__(self) -> Iterator[Cue]:
        return iter(self._cues)

    def cue(self, model: str, scene: str, times: int | None, changes: Mapping[str, Any]) -> Cue:
        """Set a scene, changed as told, for a model's next `times` predictions."""
        cue = Cue(model=model.lower(), scene=scene_of(scene, changes), times=times)
        self._cues.insert(0, cue)
        return cue

    def next(self, model: Model) -> Scene:
        """Return the scene of the prediction about to be created, and count it."""
        own = SCENES[model.ways.scene or "says"]
        for cue in self._cues:
            if cue.model in ("*", model.full_name.lower()):
                return _in_character(self._taken(cue), own)
        return own

    def _taken(self, cue: Cue) -> Scene:
        if cue.times is not None:
            cue.times -= 1
            if cue.times <= 0:
                self._cues.remove(cue)
        return cue.scene

    def clear(self, model: str | None = None) -> None:
        """Take back what was set, for one model or for all."""
        self._cues = [cue for cue in self._cues if model is not None and cue.model != model.lower()]


def _in_character(scene: Scene, own: Scene) -> Scene:
    """Let a model that echoes or thinks do so in any scene."""
    reply = own.reply if scene.reply == "writer" else scene.reply
    return structs.replace(scene, reply=reply, thinks=scene.thinks or own.thinks)


def scene_of(name: str, changes: Mapping[str, Any]) -> Scene:
    """Return a scene by name, with some of its properties changed."""
    if name not in SCENES:
        raise UnknownScene(f"there is no scene {name!r}; there are {', '.join(sorted(SCENES))}")
    unknown = set(changes) - set(Scene.__struct_fields__)
    if unknown:
        raise UnknownScene(f"a scene has no {', '.join(sorted(unknown))}")
    return msgspec.convert(msgspec.to_builtins(SCENES[name]) | dict(changes), Scene)

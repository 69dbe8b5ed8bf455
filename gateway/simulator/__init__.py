"""A local Replicate for trying, demos and tests: the official clients cannot tell it from the real one.

`Simulator(Settings(...))` runs one beside a test, `serve(Settings(...))` in the foreground. See docs/simulator.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.simulator.diary import Delivery, Leak, Request
    from gateway.simulator.listening import CannotListen
    from gateway.simulator.records import UnreadableRecord
    from gateway.simulator.scenes import SCENES, Scene
    from gateway.simulator.seen import Seen
    from gateway.simulator.server import Simulator, serve
    from gateway.simulator.settings import Settings, Switches

__all__ = [
    "SCENES",
    "CannotListen",
    "Delivery",
    "Leak",
    "Request",
    "Scene",
    "Seen",
    "Settings",
    "Simulator",
    "Switches",
    "UnreadableRecord",
    "serve",
]

_HOMES = {
    "diary": ("Delivery", "Leak", "Request"),
    "listening": ("CannotListen",),
    "records": ("UnreadableRecord",),
    "scenes": ("SCENES", "Scene"),
    "seen": ("Seen",),
    "server": ("Simulator", "serve"),
    "settings": ("Settings", "Switches"),
}


def __getattr__(name: str) -> Any:
    # The pytest plugin lives in here, and whoever has it installed imports it in every run: that must cost nothing.
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)

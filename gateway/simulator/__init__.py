"""A local Replicate for trying, demos and tests: the official clients cannot tell it from the real one.

`Simulator(Settings(...))` runs one beside a test, `serve(Settings(...))` in the foreground. See docs/simulator.md.
"""

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

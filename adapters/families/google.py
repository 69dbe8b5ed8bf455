"""Google's open Gemmas: one text field, and the markup is left to whoever fills it."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("google-deepmind/gemma*-it",), manner=Manner(template=TEMPLATES["gemma"])),
    ChatAdapter(models=("google-deepmind/gemma-*b",), manner=Manner(base=True)),
)

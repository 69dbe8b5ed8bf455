"""Meta's Llamas: what their schemas leave open is the markup, and which are base models."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("meta/meta-llama-3*-instruct",), manner=Manner(template=TEMPLATES["llama-3"])),
)

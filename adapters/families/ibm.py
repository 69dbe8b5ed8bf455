"""IBM's Granites: their prompt template has no default to read the markup from, and they list their calls."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.functions import Convention
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(
        models=("ibm-granite/granite-*-instruct*",),
        manner=Manner(template=TEMPLATES["granite"]),
        convention=Convention(opening="<|tool_call|>", closing="", listed=True),
    ),
    ChatAdapter(models=("ibm-granite/granite-*code-instruct*",), manner=Manner(template=TEMPLATES["granite-code"])),
)

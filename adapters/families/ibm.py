"""IBM's Granites: their prompt template has no default to read the markup from."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("ibm-granite/granite-*-instruct*",), manner=Manner(template=TEMPLATES["granite"])),
    ChatAdapter(models=("ibm-granite/granite-*code-instruct*",), manner=Manner(template=TEMPLATES["granite-code"])),
)

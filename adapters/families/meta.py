"""Meta's Llamas: their schemas leave open the markup, and which are base models."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    # The listed schema of the 8b and 70b has the bare template `{prompt}`: sent as it is, they get no markup.
    ChatAdapter(models=("meta/meta-llama-3*-instruct",), manner=Manner(template=TEMPLATES["llama-3"])),
    ChatAdapter(models=("meta/llama-2-*-chat",), manner=Manner(template=TEMPLATES["llama-2"])),
    ChatAdapter(
        models=(
            "meta/meta-llama-3-8b",
            "meta/meta-llama-3-70b",
            "meta/llama-2-*b",
            "meta/codellama-*b",
            "meta/codellama-*-python",
        ),
        manner=Manner(base=True),
    ),
)

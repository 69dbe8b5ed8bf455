"""Base models of several makers: they go on writing, and stop where the next turn would begin."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(
        models=(
            "01-ai/yi-6b",
            "01-ai/yi-34b",
            "01-ai/yi-34b-200k",
            "deepseek-ai/deepseek-*-base",
            "stability-ai/stablelm-base-*",
            "nateraw/mixtral-8x7b-32kseqlen",
            "lucataco/phi-2",
        ),
        manner=Manner(base=True),
    ),
)

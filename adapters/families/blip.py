"""BLIP and BLIP-2: whether they caption or answer is a switch beside the question."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(
        models=("salesforce/blip",),
        manner=Manner(prompts=("question",), asking={"task": "visual_question_answering"}),
    ),
    ChatAdapter(models=("*/blip-2",), manner=Manner(prompts=("question",), showing={"caption": True})),
)

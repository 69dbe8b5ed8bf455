"""Mistral's models: instruct ones have markup of their own, the first was a base model."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.templates import TEMPLATES

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("mistralai/*-instruct*",), manner=Manner(template=TEMPLATES["mistral"])),
    ChatAdapter(models=("mistralai/mistral-7b-v0.1",), manner=Manner(base=True)),
)

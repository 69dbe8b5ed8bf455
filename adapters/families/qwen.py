"""Qwen: the vision model's prompt speaks of its pictures by their inputs' names; QwQ's template opens its thoughts."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("nomagick/qwen-vl-chat",), manner=Manner(mention="<img>{name}</img>")),
    ChatAdapter(models=("qwen/qwq-32b*",), thinking=True),
)

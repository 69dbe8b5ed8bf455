"""Snowflake Arctic: its published schema is a stub; these inputs are what its own example was made with."""

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.prompts import Manner
from adapters.schema import Schema
from adapters.templates import TEMPLATES

_INPUTS = Schema.parse(
    {
        "components": {
            "schemas": {
                "Input": {
                    "type": "object",
                    "required": ["prompt"],
                    "properties": {
                        "prompt": {"type": "string", "x-order": 0},
                        "max_new_tokens": {"type": "integer", "x-order": 1},
                        "min_new_tokens": {"type": "integer", "x-order": 2},
                        "temperature": {"type": "number", "x-order": 3},
                        "top_p": {"type": "number", "x-order": 4},
                        "stop_sequences": {"type": "string", "x-order": 5},
                        "prompt_template": {"type": "string", "x-order": 6},
                        "presence_penalty": {"type": "number", "x-order": 7},
                        "frequency_penalty": {"type": "number", "x-order": 8},
                    },
                },
                "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
            }
        }
    }
)

FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(
        models=("snowflake/snowflake-arctic-instruct",),
        instead=_INPUTS,
        manner=Manner(template=TEMPLATES["chatml"]),
    ),
)

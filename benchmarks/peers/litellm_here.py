"""LiteLLM's proxy with its Replicate provider, whose host is written into its code: it asks `sys.argv[1]` instead."""

import sys
from typing import Any

from litellm import run_server
from litellm.llms.replicate.chat.transformation import ReplicateConfig

_address = ReplicateConfig.get_complete_url
_origin = sys.argv.pop(1)


def _here(*told: Any, **more: Any) -> str:
    return _address(*told, **more).replace("https://api.replicate.com", _origin)


ReplicateConfig.get_complete_url = _here
run_server()

"""A Replicate model in LlamaIndex: whole, then streamed. Needs `pip install llama-index-llms-openai-like`."""

import os

from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(
    model="llama-3-70b",
    api_base=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
    is_chat_model=True,
)
print(model.complete("What is a gateway?"))

for chunk in model.stream_complete("Write a haiku about gateways."):
    print(chunk.delta, end="", flush=True)
print()

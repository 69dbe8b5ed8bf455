"""Print an answer as it is written, and then what it took."""

from openai import OpenAI

chunks = OpenAI().chat.completions.create(
    model="meta/meta-llama-3-70b-instruct",  # any Replicate model, by its own name
    messages=[{"role": "user", "content": "Write a haiku about gateways."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in chunks:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
    if chunk.usage:
        print(f"\n{chunk.usage.completion_tokens} tokens")

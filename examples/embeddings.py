"""Texts and a picture in one space: prints how near each text is to the picture."""

import math

from openai import OpenAI

PICTURE = "https://replicate.delivery/xezq/heron.png"

client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY
texts = ["a heron", "a tax return"]
# `extra_body` goes over what the client has a word for: pictures are beyond OpenAI's own.
reply = client.embeddings.create(model="clip", input=texts, extra_body={"input": [*texts, {"image": PICTURE}]})
*words, picture = (each.embedding for each in reply.data)


def length(vector: list[float]) -> float:
    return math.hypot(*vector)


for text, vector in zip(texts, words, strict=True):
    dot = sum(one * other for one, other in zip(vector, picture, strict=True))
    print(f"{dot / length(vector) / length(picture):.2f} {text}")

"""Ask a model a question, with OpenAI's own Python client."""

from openai import OpenAI

client = OpenAI()  # reads OPENAI_BASE_URL and OPENAI_API_KEY
answer = client.chat.completions.create(
    model="llama-3-8b",
    messages=[
        {"role": "system", "content": "You answer in one sentence."},
        {"role": "user", "content": "What is a gateway?"},
    ],
)
print(answer.choices[0].message.content)

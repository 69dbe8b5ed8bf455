"""Show a model a picture and ask about it."""

import base64
import sys
from pathlib import Path

from openai import OpenAI

picture = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode()
answer = OpenAI().chat.completions.create(
    model="llava-13b",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this picture?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
            ],
        }
    ],
)
print(answer.choices[0].message.content)

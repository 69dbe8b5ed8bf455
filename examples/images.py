"""Draw two pictures and keep them as files."""

import base64
from pathlib import Path

from openai import OpenAI

pictures = OpenAI().images.generate(
    model="flux-schnell",
    prompt="a lighthouse at dusk, watercolour",
    n=2,
    size="1024x1024",
    output_format="png",
    response_format="b64_json",
    extra_body={"num_inference_steps": 4},  # an input of the model's own
)
for number, picture in enumerate(pictures.data or (), start=1):
    file = Path(f"lighthouse-{number}.png")
    file.write_bytes(base64.b64decode(picture.b64_json or ""))
    print(file)

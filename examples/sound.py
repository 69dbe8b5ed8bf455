"""Speak a sentence into a file, then write down what the file says, with times."""

from pathlib import Path

from openai import OpenAI

client = OpenAI()
file = Path("lighthouse.wav")
words = "The lamp is lit at dusk. Ships turn away from the rocks."
with client.audio.speech.with_streaming_response.create(
    model="jaaari/kokoro-82m", voice="nova", input=words, response_format="wav"
) as spoken:
    spoken.stream_to_file(file)

heard = client.audio.transcriptions.create(
    model="vaibhavs10/incredibly-fast-whisper",
    file=file,
    response_format="verbose_json",
    timestamp_granularities=["segment"],
)
for segment in heard.segments or ():
    print(f"{segment.start:6.2f} {segment.end:6.2f} {segment.text}")

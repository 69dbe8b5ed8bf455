#!/bin/sh
# A sentence spoken into a file, and that file as subtitles.
set -eu

curl -sSf "$OPENAI_BASE_URL/audio/speech" \
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \
  -d '{"model": "jaaari/kokoro-82m", "voice": "nova", "input": "The lamp is lit at dusk."}' \
  -o lighthouse.wav

curl -sSf "$OPENAI_BASE_URL/audio/transcriptions" \
  -H "Authorization: Bearer $OPENAI_API_KEY" \
  -F model=openai/whisper -F response_format=srt -F file=@lighthouse.wav

#!/bin/sh
# Ask a model a question with curl, then stream an answer.
set -eu

curl --fail-with-body --silent --show-error "$OPENAI_BASE_URL/chat/completions" \
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \
  -d '{"model": "llama-3-8b", "messages": [{"role": "user", "content": "What is a gateway?"}]}'
echo

curl --fail-with-body --silent --show-error --no-buffer "$OPENAI_BASE_URL/chat/completions" \
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \
  -d '{"model": "llama-3-8b", "stream": true, "messages": [{"role": "user", "content": "Write a haiku."}]}'

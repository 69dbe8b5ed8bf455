"""Bark: its English speakers are numbered."""

from adapters.speech import VOICES as OPENAI
from adapters.speech import SpeechAdapter

FAMILY = (
    SpeechAdapter(
        models=("suno-ai/bark*",),
        # Ten speakers for thirteen names: the last three share.
        voices={name: (f"en_speaker_{place % 10}",) for place, name in enumerate(OPENAI)},
    ),
)

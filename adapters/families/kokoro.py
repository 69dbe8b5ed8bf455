"""Kokoro: voices that are named after people, by accent and sex."""

from adapters.speech import SpeechAdapter

FAMILY = (
    SpeechAdapter(
        models=("*/kokoro*",),
        voices={
            "alloy": ("af_alloy", "af"),
            "ash": ("am_eric", "am_adam"),
            "ballad": ("bm_daniel", "bm_lewis"),
            "cedar": ("am_liam", "bm_lewis"),
            "coral": ("af_heart", "af_bella"),
            "echo": ("am_echo", "am_michael"),
            "fable": ("bm_fable", "bm_george"),
            "marin": ("bf_isabella",),
            "nova": ("af_nova", "af_sarah"),
            "onyx": ("am_onyx", "am_adam"),
            "sage": ("bf_emma",),
            "shimmer": ("af_sky",),
            "verse": ("am_puck", "am_michael"),
        },
    ),
)

"""MiniMax's speech models: their system voices go by free text, which no record lists."""

from adapters.speech import SpeechAdapter

FAMILY = (
    SpeechAdapter(
        models=("minimax/speech-*",),
        voices={
            "alloy": ("Friendly_Person",),
            "ash": ("Casual_Guy",),
            "ballad": ("Elegant_Man",),
            "cedar": ("Patient_Man",),
            "coral": ("Lively_Girl",),
            "echo": ("Decent_Boy",),
            "fable": ("Young_Knight",),
            "marin": ("Calm_Woman",),
            "nova": ("Inspirational_girl",),
            "onyx": ("Deep_Voice_Man",),
            "sage": ("Wise_Woman",),
            "shimmer": ("Lovely_Girl",),
            "verse": ("Determined_Man",),
        },
    ),
)

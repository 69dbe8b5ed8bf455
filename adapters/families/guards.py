"""Models that judge what is said and shown, and what their labels mean in OpenAI's categories."""

from adapters.base import Adapter
from adapters.moderations import ModerationAdapter

_VIOLENT = ("illicit", "illicit/violent", "violence")
_ARMS = ("illicit", "illicit/violent")
_MINORS = ("sexual", "sexual/minors")

FAMILY: tuple[Adapter, ...] = (
    # https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-guard-2/
    ModerationAdapter(
        models=("*/*llama-guard-2*",),
        labels={
            "S1": _VIOLENT,
            "S2": ("illicit",),
            "S3": ("illicit", "sexual"),
            "S4": _MINORS,
            "S5": ("specialized advice",),
            "S6": ("privacy",),
            "S7": ("intellectual property",),
            "S8": _ARMS,
            "S9": ("hate",),
            "S10": ("self-harm",),
            "S11": ("sexual",),
            "unsafe": ("unsafe",),
        },
    ),
    # https://www.llama.com/docs/model-cards-and-prompt-formats/llama-guard-4/
    ModerationAdapter(
        models=("*/*llama-guard-3*", "*/*llama-guard-4*"),
        labels={
            "S1": _VIOLENT,
            "S2": ("illicit",),
            "S3": ("illicit", "sexual"),
            "S4": _MINORS,
            "S5": ("defamation",),
            "S6": ("specialized advice",),
            "S7": ("privacy",),
            "S8": ("intellectual property",),
            "S9": _ARMS,
            "S10": ("hate",),
            "S11": ("self-harm",),
            "S12": ("sexual",),
            "S13": ("elections",),
            "S14": ("code interpreter abuse",),
            "unsafe": ("unsafe",),
        },
    ),
    # It rates the toxicity of prompts from 0 to 10, and says so between these marks.
    ModerationAdapter(
        models=("fofr/prompt-classifier",),
        labels={"rating": ("toxicity",)},
        ask="[PROMPT] {text} [/PROMPT] [SAFETY_RANKING]",
        most=10,
        defaults={"stop_sequences": "[/SAFETY_RANKING]", "temperature": 0.01},
    ),
    ModerationAdapter(models=("*/nsfw_image_detection", "*/nsfw-image-detection"), labels={"nsfw": ("sexual",)}),
)

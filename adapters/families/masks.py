"""Models that redraw what is black in a mask, whether or not their schema says so."""

from adapters.images import ImageAdapter

FAMILY = (
    ImageAdapter(
        models=(
            "ideogram-ai/ideogram-v2*",
            "ideogram-ai/ideogram-v3*",
            "tstramer/material-diffusion",
            "cjwbw/stable-diffusion-v1-5",
            "laion-ai/erlich",
            "laion-ai/ongo",
        ),
        redraws="black",
    ),
)

"""The account, the hardware it may use, the secret its webhooks are signed with."""

from litestar import Response, get
from litestar.di import NamedDependency

from gateway.simulator.routes.replies import reply
from gateway.simulator.world import World

HARDWARE = (
    {"sku": "cpu-small", "name": "CPU (Small)"},
    {"sku": "cpu", "name": "CPU"},
    {"sku": "gpu-t4", "name": "Nvidia T4 GPU"},
    {"sku": "gpu-l40s", "name": "Nvidia L40S GPU"},
    {"sku": "gpu-l40s-2x", "name": "2x Nvidia L40S GPU"},
    {"sku": "gpu-a100-large", "name": "Nvidia A100 (80GB) GPU"},
    {"sku": "gpu-h100", "name": "Nvidia H100 GPU"},
)


@get("/account", status_code=200)
async def get_account(world: NamedDependency[World]) -> Response[bytes]:
    """Get the account."""
    owner = world.settings.owner
    return reply(
        {
            "type": "organization",
            "username": owner,
            "name": owner.title(),
            "github_url": f"https://github.com/{owner}",
            "avatar_url": f"https://replicate.com/{owner}.png",
        }
    )


@get("/hardware", status_code=200)
async def list_hardware() -> Response[bytes]:
    """List the hardware, as a bare array."""
    return reply(HARDWARE)


@get("/webhooks/default/secret", status_code=200)
async def get_webhook_secret(world: NamedDependency[World]) -> Response[bytes]:
    """Get the signing secret."""
    return reply({"key": world.settings.webhook_secret})


HANDLERS = (get_account, list_hardware, get_webhook_secret)

"""A gateway among others: what of its parts they share, may ask for, and are told of."""

from contextlib import suppress

from gateway.parts import Gateway
from gateway.replicas import Replicas
from gateway.store.shared import Away
from gateway.upstream.webhooks import Bells


def join(gateway: Gateway, bells: Bells) -> None:
    """Nothing, where it serves alone."""
    if gateway.replicas:
        _share_allowance(gateway, gateway.replicas)
        _offer_answers(gateway, gateway.replicas)
        _pass_on_webhooks(gateway, gateway.replicas, bells)


def _share_allowance(gateway: Gateway, replicas: Replicas) -> None:
    """What Replicate allows an account is one for all gateways that use its token."""
    upstream = gateway.upstream
    creates, polls = gateway.config.upstream.creates_per_minute, upstream.allowance.per_minute
    for token in upstream.tokens:
        token.room.common = replicas.commons.of(f"creates:{token.name}", creates, creates)
    names = "-".join(sorted(token.name for token in upstream.tokens))
    upstream.allowance.common = replicas.commons.of(f"polls:{names}", polls, upstream.allowance.burst)


def _offer_answers(gateway: Gateway, replicas: Replicas) -> None:
    """What is being made here may be followed from any gateway."""
    offers = replicas.elsewhere.offers
    offers["intent"], offers["retry"] = gateway.intents.named, gateway.intents.attach
    offers["response"] = lambda name, attempt: gateway.followed.get(name)


def _pass_on_webhooks(gateway: Gateway, replicas: Replicas, bells: Bells) -> None:
    """A webhook that nobody waits for here may be waited for by another."""

    async def pass_on(body: bytes) -> None:
        with suppress(Away):
            await replicas.post.tell("webhook", body)

    replicas.post.on("webhook", bells.heard)
    gateway.webhooks.pass_on = pass_on

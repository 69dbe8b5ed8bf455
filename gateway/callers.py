"""Who asks: a virtual key at an endpoint, what it may use there, and its share of Replicate's allowance."""

from msgspec import Struct

from gateway.accounts.keys import KeyLimits, VirtualKey
from gateway.errors import Forbidden
from gateway.upstream.turns import NOBODY, Share


class Caller(Struct, frozen=True):
    """Who asks, at which endpoint, the id their request is known by, and what it is tagged with beside its key."""

    key: VirtualKey
    endpoint: str
    request: str
    tags: tuple[str, ...] = ()

    def may_use(self, model: str) -> None:
        """Raises Forbidden where the key's owner left this model or endpoint out."""
        if not self.key.allows_model(model):
            raise Forbidden(f"This key may not use the model `{model[:200]}`.", param="model")
        if not self.key.allows_endpoint(self.endpoint):
            raise Forbidden(f"This key may not use {self.endpoint}.")

    @property
    def share(self) -> Share:
        """The line in which its creates wait, and how much of all turns it gets."""
        key = self.key
        own, team = key.limits or KeyLimits(), key.team_limits or KeyLimits()
        weight = own.weight or team.weight or NOBODY.weight
        return Share(key.first or key.id, weight, own.priority or team.priority or NOBODY.priority)

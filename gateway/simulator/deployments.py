"""Deployments: models under names of the account's own."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from gateway.simulator.clock import stored_time
from gateway.simulator.records import Records

UNUSED_SECONDS = 15 * 60


class Release(Struct, kw_only=True, frozen=True):
    """What a deployment runs since its latest change."""

    number: int
    model: str
    version: str
    created: float
    hardware: str
    min_instances: int
    max_instances: int


class Deployment(Struct, kw_only=True):
    """A deployment and its current release."""

    owner: str
    name: str
    release: Release
    last_used: float | None = None

    def shown(self) -> dict[str, Any]:
        """Return the deployment object of the API."""
        release = self.release
        return {
            "owner": self.owner,
            "name": self.name,
            "current_release": {
                "number": release.number,
                "model": release.model,
                "version": release.version,
                "created_at": stored_time(release.created),
                "created_by": {
                    "type": "organization",
                    "username": self.owner,
                    "name": self.owner.title(),
                    "avatar_url": f"https://replicate.com/{self.owner}.png",
                    "github_url": f"https://github.com/{self.owner}",
                },
                "configuration": {
                    "hardware": release.hardware,
                    "min_instances": release.min_instances,
                    "max_instances": release.max_instances,
                },
            },
        }

    def removable(self, now: float) -> bool:
        """Whether it is offline and has been unused for a quarter of an hour."""
        unused = self.last_used is None or now - self.last_used >= UNUSED_SECONDS
        return unused and self.release.min_instances == 0


class Deployments:
    """All deployments, newest last."""

    def __init__(self) -> None:
        self._all: dict[str, Deployment] = {}

    def __iter__(self) -> Iterator[Deployment]:
        return iter(self._all.values())

    @classmethod
    def furnished(cls, owner: str, records: Records, now: float) -> "Deployments":
        """Return the deployment every simulator starts with: `sim/deployed`, and the same under the account's name."""
        deployments = cls()
        model = records.find("sim", "echo")
        if model is None or model.latest is None:
            return deployments
        release = Release(
            number=1,
            model=model.full_name,
            version=model.latest.id,
            created=now,
            hardware="gpu-l40s",
            min_instances=0,
            max_instances=5,
        )
        for place in dict.fromkeys(("sim", owner)):
            deployments.add(Deployment(owner=place, name="deployed", release=release))
        return deployments

    def add(self, deployment: Deployment) -> None:
        self._all[f"{deployment.owner}/{deployment.name}".lower()] = deployment

    def find(self, owner: str, name: str) -> Deployment | None:
        return self._all.get(f"{owner}/{name}".lower())

    def remove(self, deployment: Deployment) -> None:
        self._all.pop(f"{deployment.owner}/{deployment.name}".lower(), None)

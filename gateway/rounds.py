"""The predictions that a call runs now: what they say, and how they end."""

from collections.abc import AsyncGenerator

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Failure, Prediction
from gateway.hearing import Hearing
from gateway.runs import Run
from gateway.together import together


class Round:
    """One attempt of a call: several predictions, listened to together. A call begins another where it asks again."""

    def __init__(self) -> None:
        self._round: list[Run] = []
        self._hearing: Hearing | None = None

    def batches(self, patience: float | None) -> AsyncGenerator[list[Event]]:
        """What upstream says, as it comes; see `Hearing.batches`. Raises ApiError."""
        assert self._hearing
        return self._hearing.batches(patience)

    @property
    def likely(self) -> list[Prediction]:
        """Every prediction as it will end, by all that is known of it so far: its record may yet say otherwise."""
        return [run.likely for run in self._round]

    async def heard(self) -> None:
        """Every prediction has said all that it will. One that fails ends those that still run: they cannot make it
        good."""
        async for batch in self.batches(None):
            failed = {event.index for event in batch if isinstance(event, Failure)}
            for index, run in enumerate(self._round):
                if failed and index not in failed and run.going:
                    self.stop(index)

    async def finished(self, *, counted: bool = True) -> list[Prediction]:
        """Every prediction at its end, once it was heard; measured unless nobody wants it `counted`."""
        await self.heard()
        return await together(*(run.end(counted=counted) for run in self._round))

    def stop(self, index: int) -> None:
        """This prediction has said enough: nothing more is read of it, and it is cancelled if it still runs."""
        assert self._hearing
        self._hearing.ignore(index)
        self._round[index].stop()

    async def _listen(self, runs: list[Run], seconds: int, first: float | None, patience: float) -> None:
        """These run from now on, for so many seconds at most, with a `first` word in time; see `Run.create`."""
        self._round, self._hearing = runs, Hearing(runs, seconds, first)
        await together(*(run.create(patience) for run in runs))

    def _interrupt(self, error: ApiError) -> None:
        if self._hearing:
            self._hearing.interrupt(error)

    async def _hush(self) -> None:
        """Nothing more is heard of them."""
        if self._hearing:
            await self._hearing.aclose()

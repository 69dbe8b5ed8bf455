"""What the ledger is told and tells: openings, reservations, settlements, entries and sums."""

from msgspec import Struct

from gateway.accounts.spending import Budget
from gateway.accounts.virtualkeys import Leave
from gateway.tariffs import Price


class Opening(Struct, frozen=True, kw_only=True, gc=False):
    """A call about to create predictions, one for each of `digests` (hashes of their inputs).

    `reserved` is in micro-dollars, one amount for each prediction, None where it cannot be foreseen; `unpriced` is what
    becomes of these unless a budget says otherwise. `deadline` is the seconds after which Replicate ends a prediction
    by itself; `first` is how many the call has opened before; `leave` is what becomes of them when
    nobody waits for them any more.
    """

    call: str
    key: str
    kind: str
    model: str
    ref: str
    digests: tuple[str, ...]
    team: str | None = None
    version: str | None = None
    request: str | None = None
    tags: tuple[str, ...] = ()
    price: Price | None = None
    reserved: tuple[int | None, ...]
    unpriced: str = "allow"
    deadline: int = 0
    first: int = 0
    leave: Leave = "cancel"


class Reservation(Struct, frozen=True, gc=False):
    """The entries of a call, one per prediction in the order of the digests, and all the micro-dollars held: None where
    not all could be foreseen; `unforeseen` says what became of those. `budgets` are those concerned, with this call.
    """

    call: str
    entries: tuple[str, ...]
    amount: int | None
    budgets: tuple[Budget, ...] = ()
    unforeseen: str = ""


class Settlement(Struct, frozen=True, kw_only=True, gc=False):
    """How a prediction ended: Replicate's final status, or our word where none was created; durations in seconds.

    `cost` is in whole micro-dollars, None where it is not known; `basis` says what it was computed from.
    `prediction` need only be told when `created` could not be.
    """

    status: str
    cost: int | None = None
    basis: str = "unknown"
    error: str | None = None
    prediction: str | None = None
    queue_seconds: float | None = None
    run_seconds: float | None = None
    first_token_seconds: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    estimated: bool = False
    images: int | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """An entry that is not settled: all that was known when it was opened, and its prediction once it was created.

    Times are unix seconds; `reserved` is in micro-dollars.
    """

    id: str
    call: str
    seq: int
    key: str
    kind: str
    model: str
    ref: str
    digest: str
    owner: str
    created_at: float
    deadline: int
    team: str | None = None
    version: str | None = None
    request: str | None = None
    tags: tuple[str, ...] = ()
    price: Price | None = None
    reserved: int | None = None
    prediction: str | None = None
    prediction_at: float | None = None
    leave: Leave = "cancel"


class Held(Struct, frozen=True):
    """What is reserved now: open entries, and the micro-dollars of those whose cost could be foreseen."""

    entries: int
    amount: int


class UsageLine(Struct, frozen=True, kw_only=True):
    """The sum over settled entries of a key (`subject` is its id, `name` its name), a model, or a day (UTC).

    `cost` is in micro-dollars and sums the `priced` predictions; `unpriced` ones cost an amount that is not known.
    `failed` counts every end but success, `estimated` those whose tokens were not counted by Replicate.
    """

    subject: str
    name: str
    calls: int
    predictions: int
    failed: int
    tokens_in: int
    tokens_out: int
    estimated: int
    images: int
    seconds: float
    cost: int
    priced: int
    unpriced: int

"""What the admin API is told and tells, as structs; its document is made of them."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from gateway.accounts.audit import Act
from gateway.accounts.exports import LedgerLine
from gateway.accounts.forms import Form, Sum
from gateway.accounts.prices import Line
from gateway.accounts.spending import Budget, Scope
from gateway.accounts.teams import Team
from gateway.accounts.totals import By
from gateway.accounts.virtualkeys import Leave, Priority, Role, VirtualKey
from gateway.accounts.windows import Period

# What every database can keep: PostgreSQL refuses a NUL.
Text = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Texts = Annotated[tuple[Text, ...], Meta(max_length=1000)]
Facts = Annotated[dict[str, Text], Meta(max_length=100)]
Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]
Limit = Annotated[int, Meta(ge=0, le=10**12)]
Micro = Annotated[int, Meta(ge=0, le=10**15)]
Size = Annotated[int, Meta(ge=1, le=1000)]


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an admin asks for; fields that are not known are refused."""

    def said(self) -> dict[str, Any]:
        """The fields that were told, in plain values but for tuples."""
        told = {name: getattr(self, name) for name in self.__struct_fields__}
        plain = {name: msgspec.to_builtins(each) if isinstance(each, Struct) else each for name, each in told.items()}
        return {name: each for name, each in plain.items() if each is not UNSET}


class Nothing(Order, frozen=True, kw_only=True):
    """No fields."""


class LimitsOrder(Order, frozen=True, kw_only=True):
    """Limits to set: 0 is without limit, null takes one back to its default."""

    requests_per_minute: Limit | UnsetType | None = UNSET
    tokens_per_minute: Limit | UnsetType | None = UNSET
    images_per_minute: Limit | UnsetType | None = UNSET
    calls_at_once: Limit | UnsetType | None = UNSET
    weight: Annotated[int, Meta(ge=1, le=100)] | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET


class KeyOrder(Order, frozen=True, kw_only=True):
    """A key's policy; moments are unix seconds."""

    owner: Text | UnsetType = UNSET
    team: Text | UnsetType | None = UNSET
    tags: Texts | UnsetType = UNSET
    models: Texts | UnsetType = UNSET
    endpoints: Texts | UnsetType = UNSET
    leave: Leave | UnsetType = UNSET
    metadata: Facts | UnsetType = UNSET
    limits: LimitsOrder | UnsetType | None = UNSET
    expires_at: Moment | UnsetType | None = UNSET


class NewKey(KeyOrder, frozen=True, kw_only=True):
    """A key to issue."""

    name: Name
    role: Role | UnsetType = UNSET


class KeyUpdate(KeyOrder, frozen=True, kw_only=True):
    """What to change of a key: what is not named stays."""

    name: Name | UnsetType = UNSET


class Rotation(Order, frozen=True, kw_only=True):
    """For how many seconds the old key goes on beside its successor."""

    overlap_seconds: Annotated[float, Meta(ge=0, le=10**9)] = 0.0


class TeamUpdate(Order, frozen=True, kw_only=True):
    """What to change of a team: what is not named stays."""

    name: Name | UnsetType = UNSET
    limits: LimitsOrder | UnsetType | None = UNSET
    metadata: Facts | UnsetType = UNSET


class NewTeam(TeamUpdate, frozen=True, kw_only=True):
    """A team to create; the books name it by its id."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class BudgetOrder(Order, frozen=True, kw_only=True):
    """A budget in micro-dollars, made or changed: of a key's id or name, a team, models by a pattern, or everyone."""

    scope: Scope
    subject: Text = ""
    period: Period = "month"
    soft: Micro | None = None
    hard: Micro | None = None
    unpriced: Text = ""


class Paging(Order, frozen=True, kw_only=True):
    """So many, after the one of this id."""

    limit: Size = 100
    after: Text | None = None


class Sums(Order, frozen=True, kw_only=True):
    """What to sum: by what, from the first day to the last (UTC, both included), held to a key's id or name, a team, a
    model's name or a tag."""

    by: By = "key"
    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")
    key: Text | None = None
    team: Text | None = None
    model: Text | None = None
    tag: Text | None = None


class KeySums(Order, frozen=True, kw_only=True):
    """What to sum of one key."""

    by: Literal["day", "model"] = "day"
    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")


class Lines(Paging, frozen=True, kw_only=True):
    """Which entries: opened from the first day to the last (UTC, both included), of a key's id, a team, a model."""

    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")
    key: Text | None = None
    team: Text | None = None
    model: Text | None = None


class Export(Order, frozen=True, kw_only=True):
    """Which entries, and in which form: a table with a head, or one JSON object a line."""

    form: Form = field(default="csv", name="format")
    first: date | None = field(default=None, name="from")
    last: date | None = field(default=None, name="to")
    key: Text | None = None
    team: Text | None = None
    model: Text | None = None


class Prune(Order, frozen=True, kw_only=True):
    """Settled entries of days before this one (UTC); unless `confirm` is said, what would go is only counted."""

    before: date
    confirm: bool = False


class Acts(Paging, frozen=True, kw_only=True):
    """Which acts, the newest first: of an actor, of a name, on a subject."""

    actor: Text | None = None
    act: Text | None = None
    subject: Text | None = None


class IssuedKey(Struct, frozen=True):
    """A key and its secret, which is shown here and never again."""

    key: VirtualKey
    secret: str


class KeyPage(Struct, frozen=True):
    """Keys, oldest first; `next` is what to ask for `after`, null on the last page."""

    data: Sequence[VirtualKey]
    next: str | None


class TeamPage(Struct, frozen=True):
    """Teams, by their ids."""

    data: Sequence[Team]
    next: str | None


class LinePage(Struct, frozen=True):
    """Entries, oldest first."""

    data: Sequence[LedgerLine]
    next: str | None


class PrunedLines(Struct, frozen=True):
    """How many entries are gone (or would be), what they cost, and how many stay because nobody knows their cost."""

    before: date
    removed: bool
    entries: int
    cost_usd: float
    kept: int


class ActPage(Struct, frozen=True):
    """Acts, newest first."""

    data: Sequence[Act]
    next: str | None


class BudgetList(Struct, frozen=True):
    """The budgets, in the windows of today."""

    data: Sequence[Budget]


class PriceList(Struct, frozen=True):
    """What each configured model costs, then the rest of the shipped table."""

    data: Sequence[Line]


class Open(Struct, frozen=True):
    """What still runs, and the US dollars held for it."""

    entries: int
    reserved_usd: float


class SumList(Struct, frozen=True):
    """Sums of what is settled, and what is open."""

    by: By
    lines: Sequence[Sum]
    open: Open


class Fault(Struct, frozen=True):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Refusal(Struct, frozen=True):
    """OpenAI's error object."""

    error: Fault

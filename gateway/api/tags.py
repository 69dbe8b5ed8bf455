"""Tags that a client gives a request, for the ledger's sums: the header `x-repligate-tags`."""

from adapters.errors import InvalidRequest

HEADER = "x-repligate-tags"
MOST, LONGEST = 8, 64


def tags_of(told: str) -> tuple[str, ...]:
    """The tags in a header, which are separated by commas. Raises InvalidRequest."""
    if not told:
        return ()
    tags = tuple(dict.fromkeys(filter(None, (tag.strip() for tag in told.split(",")))))
    if len(tags) > MOST or any(len(tag) > LONGEST or not (tag.isascii() and tag.isprintable()) for tag in tags):
        raise InvalidRequest(
            f"`{HEADER}` takes up to {MOST} tags, separated by commas, each of up to {LONGEST} ASCII characters.",
            param=HEADER,
        )
    return tags

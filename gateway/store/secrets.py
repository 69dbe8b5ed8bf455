"""The secret of the books: random bytes that all who open them share, made by whoever is first."""

import hashlib
import secrets as random
import time

from sqlalchemy import Connection, select

from gateway.store.sql import Store, insert
from gateway.store.tables import secrets

_ONLY = "books"


async def secret_of(store: Store, purpose: str) -> bytes:
    """32 bytes for this purpose, which tell nothing of those for another. Raises StoreError."""
    found = select(secrets.c.value).where(secrets.c.name == _ONLY)

    def get(connection: Connection) -> bytes:
        new = {"name": _ONLY, "value": random.token_bytes(32), "created_at": round(time.time() * 1000)}
        connection.execute(insert(connection, secrets).values(new).on_conflict_do_nothing())
        return bytes(connection.execute(found).scalar_one())

    known = await store.read(lambda connection: connection.execute(found).scalar())
    value = bytes(known) if known else await store.write(get)
    return hashlib.sha256(purpose.encode() + b"\n" + value).digest()

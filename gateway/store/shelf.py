"""The shelf: what can be fetched again but is better kept, under a key, with the time it was saved."""

import time
from collections.abc import Callable

from sqlalchemy import Connection, select

from gateway.store.sql import Store, insert
from gateway.store.tables import schemas


class Shelf:
    """Bodies that survive a restart and are shared by all who open the store: the schemas of models."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    async def load(self, key: str) -> tuple[bytes, float] | None:
        """The body saved last under this key, and when (unix seconds); None if there is none. Raises StoreError."""
        found = select(schemas.c.body, schemas.c.saved_at).where(schemas.c.id == key)
        row = await self._store.read(lambda connection: connection.execute(found).first())
        return None if row is None else (bytes(row.body), row.saved_at / 1000)

    async def save(self, key: str, body: bytes) -> None:
        """Puts the body in the place of what was there. Raises StoreError."""
        kept = {"body": body, "saved_at": round(self._clock() * 1000)}

        def put(connection: Connection) -> None:
            new = insert(connection, schemas).values(id=key, **kept)
            connection.execute(new.on_conflict_do_update(index_elements=["id"], set_=kept))

        await self._store.write(put)

"""Books for these tests."""

from tests.gateway.store.books import config, sqlite_config, store

__all__ = ["config", "sqlite_config", "store"]

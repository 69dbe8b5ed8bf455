"""Telling the operator: what budgets have passed is sent to the address in the settings."""

import time
from collections.abc import Callable

import structlog

from gateway.accounts.notices import Notices
from gateway.config import BudgetsConfig
from gateway.upstream.messenger import Messenger, Undelivered

log = structlog.get_logger()

EVERY_SECONDS = 1.0


async def tell(
    config: BudgetsConfig, notices: Notices, messenger: Messenger, clock: Callable[[], float] = time.time
) -> float:
    """Sends what is due; gives the seconds until the next look. Raises StoreError."""
    if not config.webhook:
        return EVERY_SECONDS
    for notice in await notices.take():
        try:
            await messenger.send(config.webhook, config.webhook_secret, notice.id, notice.body)
        except Undelivered as wrong:
            log.warning("a notice was not delivered", notice=notice.id, reason=str(wrong))
            await notices.postpone(notice, clock())
        else:
            await notices.told(notice)
    return EVERY_SECONDS

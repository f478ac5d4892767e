"""A replica of a part of the service, outside Serve."""

from __future__ import annotations

import asyncio
import threading

import pytest


def test_a_replica_that_computes_for_ever_is_not_well(monkeypatch: pytest.MonkeyPatch):
    from raydance.cluster import serve

    monkeypatch.setattr(serve, "_STUCK_S", 0.2)

    async def hang_and_end() -> None:
        replica, is_over = serve.SentenceEncoder(), threading.Event()
        replica.check_health()
        work = asyncio.create_task(replica.compute(is_over.wait))
        await asyncio.sleep(0.05)
        replica.check_health()  # busy, as it may be
        await asyncio.sleep(0.3)
        with pytest.raises(RuntimeError, match="computing for"):
            replica.check_health()
        is_over.set()
        await work
        replica.check_health()

    asyncio.run(hang_and_end())

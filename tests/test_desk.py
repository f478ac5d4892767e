"""The desk where tasks are laid for a group of workers. Starts no Ray."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raydance.cluster.desk import CLOSED, Desk

pytestmark = pytest.mark.ray

FIRST: Any = ["the first task"]
SECOND: Any = ["the second task"]


def test_who_comes_early_waits_for_the_task() -> None:
    async def go() -> tuple[int, Any]:
        desk = Desk()
        waiting = asyncio.create_task(desk.next_number(0, 60.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        number = await desk.lay(FIRST)
        assert await waiting == number == 1
        return number, await desk.take(number)

    assert asyncio.run(go()) == (1, FIRST)


def test_nothing_new_is_told_after_a_while() -> None:
    async def go() -> int:
        desk = Desk()
        await desk.lay(FIRST)
        return await desk.next_number(1, 0.01)

    assert asyncio.run(go()) == 1


def test_a_group_that_starts_anew_is_given_what_lies_there() -> None:
    async def go() -> tuple[int, Any, int]:
        desk = Desk()
        await desk.start()
        await desk.lay(FIRST)
        await desk.finish(1)
        await desk.lay(SECOND)
        assert await desk.next_number(1, 1.0) == 2
        await desk.start()  # its workers were lost in the middle of the second
        return await desk.next_number(0, 1.0), await desk.take(2), await desk.num_starts()

    assert asyncio.run(go()) == (2, SECOND, 2)


def test_ranks_that_agreed_on_a_number_get_one_task() -> None:
    async def go() -> list[Any]:
        desk = Desk()
        first = await desk.lay(FIRST)
        await desk.finish(first)
        taken = [await desk.take(first)]
        await desk.lay(SECOND)  # between two ranks of a group that has started anew
        return [*taken, await desk.take(first), await desk.take(first + 1)]

    assert asyncio.run(go()) == [FIRST, FIRST, SECOND]


def test_the_driver_hears_of_the_end_of_its_own_task_alone() -> None:
    async def go() -> None:
        desk = Desk()
        await desk.lay(FIRST)
        await desk.finish(1)
        await desk.wait_for(1)
        await desk.lay(SECOND)
        waiting = asyncio.create_task(desk.wait_for(2))
        await desk.finish(1)  # said again by a group that found the first task done
        await asyncio.sleep(0)
        assert not waiting.done()
        await desk.finish(2)
        await waiting

    asyncio.run(go())


def test_a_closed_desk_sends_all_away() -> None:
    async def go() -> tuple[int, int]:
        desk = Desk()
        waiting = asyncio.create_task(desk.next_number(0, 60.0))
        await asyncio.sleep(0)
        assert await desk.is_open()
        await desk.close()
        assert not await desk.is_open()
        await desk.lay(FIRST)  # too late
        return await waiting, await desk.next_number(0, 60.0)

    assert asyncio.run(go()) == (CLOSED, CLOSED)

"""The queue where tasks are laid for a group of workers. Starts no Ray."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raydance.cluster.task_queue import CLOSED, TaskQueue

pytestmark = pytest.mark.ray

FIRST: Any = ["the first task"]
SECOND: Any = ["the second task"]


def test_who_comes_early_waits_for_the_task() -> None:
    async def go() -> tuple[int, Any]:
        queue = TaskQueue()
        waiting = asyncio.create_task(queue.next_number(0, 60.0))
        await asyncio.sleep(0)
        assert not waiting.done()
        number = await queue.add(FIRST)
        assert await waiting == number == 1
        return number, await queue.take(number)

    assert asyncio.run(go()) == (1, FIRST)


def test_nothing_new_is_told_after_a_while() -> None:
    async def go() -> int:
        queue = TaskQueue()
        await queue.add(FIRST)
        return await queue.next_number(1, 0.01)

    assert asyncio.run(go()) == 1


def test_a_group_that_starts_anew_is_given_what_lies_there() -> None:
    async def go() -> tuple[int, Any, int]:
        queue = TaskQueue()
        await queue.start()
        await queue.add(FIRST)
        await queue.finish(1)
        await queue.add(SECOND)
        assert await queue.next_number(1, 1.0) == 2
        await queue.start()  # its workers were lost in the middle of the second
        return await queue.next_number(0, 1.0), await queue.take(2), await queue.num_starts()

    assert asyncio.run(go()) == (2, SECOND, 2)


def test_ranks_that_agreed_on_a_number_get_one_task() -> None:
    async def go() -> list[Any]:
        queue = TaskQueue()
        first = await queue.add(FIRST)
        await queue.finish(first)
        taken = [await queue.take(first)]
        await queue.add(SECOND)  # between two ranks of a group that has started anew
        return [*taken, await queue.take(first), await queue.take(first + 1)]

    assert asyncio.run(go()) == [FIRST, FIRST, SECOND]


def test_the_driver_hears_of_the_end_of_its_own_task_alone() -> None:
    async def go() -> None:
        queue = TaskQueue()
        await queue.add(FIRST)
        await queue.finish(1)
        await queue.wait_for(1)
        await queue.add(SECOND)
        waiting = asyncio.create_task(queue.wait_for(2))
        await queue.finish(1)  # said again by a group that found the first task done
        await asyncio.sleep(0)
        assert not waiting.done()
        await queue.finish(2)
        await waiting

    asyncio.run(go())


def test_a_closed_desk_sends_all_away() -> None:
    async def go() -> tuple[int, int]:
        queue = TaskQueue()
        waiting = asyncio.create_task(queue.next_number(0, 60.0))
        await asyncio.sleep(0)
        assert await queue.is_open()
        await queue.close()
        assert not await queue.is_open()
        await queue.add(FIRST)  # too late
        return await waiting, await queue.next_number(0, 60.0)

    assert asyncio.run(go()) == (CLOSED, CLOSED)

"""The plan of an epoch: which rank gets which rows in which chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raydance.data.chunks import plan_epoch


def rows_of(chunks: list, starts: np.ndarray) -> list[int]:
    return [
        int(starts[s.shard]) + row
        for chunk in chunks
        for s in chunk.segments
        for row in range(s.start, s.stop)
    ]


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    world_size=st.integers(1, 4),
    chunk_windows=st.integers(1, 12),
    epoch=st.integers(0, 5),
    shuffle=st.booleans(),
)
def test_ranks_share_an_epoch_equally_and_without_overlap(
    sizes: list[int], world_size: int, chunk_windows: int, epoch: int, shuffle: bool
) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)])
    options: dict[str, Any] = {
        "seed": 1,
        "epoch": epoch,
        "world_size": world_size,
        "chunk_windows": chunk_windows,
        "shuffle": shuffle,
    }
    plans = [plan_epoch(sizes, rank=rank, **options) for rank in range(world_size)]
    rows = [rows_of(plan, starts) for plan in plans]
    assert {len(r) for r in rows} == {sum(sizes) // world_size}
    together = [row for part in rows for row in part]
    assert len(set(together)) == len(together) > sum(sizes) - world_size
    assert set(together) <= set(range(sum(sizes)))
    for plan in plans:
        assert all(c.num_windows == chunk_windows for c in plan[:-1])  # only the last is short
        assert all(0 < c.num_windows <= chunk_windows for c in plan)
        assert [c.index for c in plan] == list(range(len(plan)))
    assert plans == [plan_epoch(sizes, rank=rank, **options) for rank in range(world_size)]
    if not shuffle:
        assert together == sorted(together)


def test_the_order_of_shards_changes_with_epoch_and_seed_and_the_remainder_with_it() -> None:
    def order(**changes: int) -> tuple[int, ...]:
        (chunk,) = plan_epoch([5] * 6, **({"seed": 0, "epoch": 0} | changes))
        return tuple(s.shard for s in chunk.segments)

    assert len({order(epoch=epoch) for epoch in range(5)}) == 5
    assert order(seed=1) != order(seed=0)
    starts = np.arange(0, 30, 5)
    left_out = set()
    for epoch in range(8):
        seen = [
            row
            for rank in range(4)
            for row in rows_of(
                plan_epoch([5] * 6, seed=0, epoch=epoch, rank=rank, world_size=4), starts
            )
        ]
        left_out.add(frozenset(set(range(30)) - set(seen)))
    assert len(left_out) > 2 and all(len(rows) == 2 for rows in left_out)


def test_a_plan_by_hand() -> None:
    first, second = (
        plan_epoch([3, 4], seed=0, epoch=0, rank=r, world_size=2, chunk_windows=2, shuffle=False)
        for r in range(2)
    )
    assert [[(s.shard, s.start, s.stop) for s in c.segments] for c in first] == [
        [(0, 0, 2)],
        [(0, 2, 3)],
    ]
    assert [[(s.shard, s.start, s.stop) for s in c.segments] for c in second] == [
        [(1, 0, 2)],
        [(1, 2, 3)],
    ]
    assert plan_epoch([], seed=0, epoch=0) == []

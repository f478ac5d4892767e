"""How long motion is divided into parts, and how many steps its sampler takes."""

from __future__ import annotations

import pytest
import torch

from raydance.stages.sequence_flow import SequenceFlow, SequenceFlowConfig

K = 4


@pytest.mark.parametrize(
    ("patches", "given", "parts"),
    [
        (8, 0, [(0, 0, 8)]),
        (9, 0, [(0, 0, 8), (6, 2, 3)]),
        (15, 0, [(0, 0, 8), (7, 1, 8)]),
        (16, 0, [(0, 0, 8), (6, 2, 8), (12, 2, 4)]),
        (9, 2, [(1, 1, 8)]),
        (21, 1, [(0, 1, 8), (7, 1, 8), (13, 2, 8)]),
    ],
)
def test_parts_see_less_of_what_is_there_where_that_saves_one(
    monkeypatch: pytest.MonkeyPatch, patches: int, given: int, parts: list[tuple[int, int, int]]
):
    """Each part: where it begins, how many patches it is given, and its size."""
    flow = SequenceFlow(SequenceFlowConfig(width=16), torch.ones(2, K), 8, {"music": 3})
    seen = []
    noise, wanted = torch.randn(1, patches, K), torch.randn(1, patches, K)

    def part(batch, its_noise, before, first, steps, guidance):
        here = slice(first, first + its_noise.shape[1])
        seen.append((first, before.shape[1], its_noise.shape[1]))
        assert steps == (16 if batch["has_music"].any() else 10)
        assert its_noise.equal(noise[:, here])
        assert before.equal(wanted[:, here][:, : before.shape[1]])
        return wanted[:, here]

    monkeypatch.setattr(flow, "_sample_part", part)
    for has_music in (False, True):
        seen.clear()
        batch = {"has_music": torch.tensor([has_music])}
        assert flow.go_on(batch, noise, wanted[:, :given]).equal(wanted)
        assert seen == parts

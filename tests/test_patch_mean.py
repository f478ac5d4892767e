"""The mean codes of a sentence at the places of a clip, and the flow of what they leave over."""

from __future__ import annotations

import torch
from small_stages import sequence_flow, toy_batch

from raydance.nn.patch_mean import PatchMean, placed_text
from raydance.nn.sentence_mean import SentenceMean
from raydance.stages.sequence_flow import SequenceFlow


def test_words_count_everywhere_near_the_start_and_near_the_end() -> None:
    text = torch.tensor([[2.0, 3.0]])
    placed = placed_text(text, torch.arange(4)[None], torch.tensor([4])).unflatten(2, (3, 3))[0]
    torch.testing.assert_close(placed[:, 0], torch.tensor([2.0, 3.0, 1.0]).expand(4, -1))
    assert placed[0, 1, 2] == 1.0 and placed[3, 2, 2] == 1.0
    torch.testing.assert_close(placed[:, 1, 0], 2.0 * (-torch.arange(4.0)).exp())
    torch.testing.assert_close(placed[:, 2, 1], 3.0 * (-torch.arange(4.0)).exp().flip(0))


def _flow() -> tuple[SequenceFlow, dict[str, torch.Tensor]]:
    """An untrained flow, whose clean codes are zero, around a mean."""
    torch.manual_seed(0)
    batch = {name: values.clone() for name, values in toy_batch().items()}
    flow = sequence_flow(guidance=1.5, steps=4).eval()
    inputs, codes = 3 * (batch["text_tokens"].shape[2] + 1), flow.num_codes
    spread = torch.full((codes,), 0.5)
    flow.mean = PatchMean(SentenceMean(torch.randn(inputs, codes), torch.randn(codes), spread))
    rows = len(batch["length"])
    batch["has_text"] = torch.arange(rows) != 1
    batch["has_music"] = torch.arange(rows) % 2 == 1
    return flow, batch


def test_only_words_alone_have_a_mean() -> None:
    flow, batch = _flow()
    assert flow.mean is not None
    count = 2
    made = flow.sample(batch, torch.randn(len(batch["length"]), count, flow.num_codes))
    place = torch.arange(count).expand(len(made), -1)
    mean, spread = flow._around(batch, place, -(-batch["length"] // 16))
    alone = (batch["has_text"] & ~batch["has_music"]).numpy()
    assert 0 < alone.sum() < len(alone)
    torch.testing.assert_close(made, mean)
    assert made[alone].abs().max() > 0.1 and not made[~alone].any()
    assert (spread[alone] == 0.5).all() and (spread[~alone] == 1.0).all()


def test_given_patches_are_kept_around_a_mean() -> None:
    flow, batch = _flow()
    given = torch.randn(len(batch["length"]), 1, flow.num_codes)
    made = flow.go_on(batch, torch.randn(len(given), 2, flow.num_codes), given)
    torch.testing.assert_close(made[:, :1], given)

"""Motion to text: eq. 17 by hand and against torch, and which captions count as wrong."""

from __future__ import annotations

import pytest
import torch
from small_stages import D, evaluate, motion_to_text, toy_batch
from torch.nn import functional as F


def test_eq17_is_the_cosine_embedding_loss_of_torch() -> None:
    stage = motion_to_text(hard_negatives=1, alike_captions=1.1)
    batch = toy_batch(2)
    batch["caption_id"] = batch["cluster"] = torch.tensor([0, 1])
    torch.manual_seed(0)
    p = batch["text_embedding"] + torch.randn(2, D)
    terms = stage.loss({"text": p}, batch, 1.0)
    right, wrong = batch["text_embedding"], batch["text_embedding"].flip(0)
    one = torch.ones(2)
    torch.testing.assert_close(terms["positive"], F.cosine_embedding_loss(p, right, one))
    negative = F.cosine_embedding_loss(p, wrong, -one, margin=0.2)
    torch.testing.assert_close(terms["negative"], negative)
    torch.testing.assert_close(terms["total"], terms["positive"] + terms["negative"])


def test_eq17_by_hand_takes_the_hardest_wrong_captions() -> None:
    batch = toy_batch(4) | {"caption_id": torch.arange(4), "cluster": torch.tensor([0, 0, 1, 1])}
    batch["text_embedding"] = torch.eye(4)
    p = torch.tensor([[0.8, 0.6, 0.0, 0.0]]).expand(4, 4)
    one = motion_to_text(hard_negatives=1).loss({"text": p}, batch, 1.0)
    assert one["positive"].item() == pytest.approx(1 - (0.8 + 0.6) / 4)
    # The hardest wrong similarity is .6 for the first clip and .8 for the others.
    assert one["negative"].item() == pytest.approx((0.4 + 3 * 0.6) / 4, abs=1e-6)
    others = motion_to_text(hard_negatives=1, negatives="cluster").loss({"text": p}, batch, 1.0)
    assert others["negative"].item() == pytest.approx((0 + 0 + 0.6 + 0.6) / 4, abs=1e-6)
    assert one["top1"].item() == 0.25 and one["cluster_accuracy"].item() == 0.5


def test_without_a_wrong_caption_only_the_right_one_counts() -> None:
    batch = toy_batch(4) | {"caption_id": torch.zeros(4, dtype=torch.long)}
    p = torch.randn(4, D, requires_grad=True)
    terms = motion_to_text().loss({"text": p}, batch, 1.0)
    assert terms["negative"].item() == 0.0
    terms["total"].backward()
    assert p.grad is not None and p.grad.isfinite().all()


def test_one_description_for_everything_is_noticed() -> None:
    stage = motion_to_text()
    torch.nn.init.zeros_(stage.layers[0].weight)
    assert stage.warnings(evaluate(stage, toy_batch()))

"""The contrastive space: its losses by hand, its queue, and spaces that went wrong."""

from __future__ import annotations

import pytest
import torch
from small_stages import (
    CAPTIONS,
    CLUSTERS,
    PAPER_CONTRAST,
    B,
    D,
    Z,
    basis_layer,
    contrastive,
    toy_batch,
)
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.stages.contrastive import ContrastiveConfig


def test_the_triplet_takes_both_modalities_by_hand() -> None:
    # Two clips of two clusters: motion at 0 and 10, text at 1 and 4.
    motion, text = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [4.0]])
    batch = toy_batch(2) | {"cluster": torch.tensor([0, 1])}
    terms = contrastive(**PAPER_CONTRAST).loss({"motion": motion, "text": text}, batch, 1.0)
    # D_pos 1, 6, 1, 6; D_neg 4, 9, 3, 3 for m0, m1, t0, t1: only t1 costs, 6 - 3 + 1.
    assert terms["total"].item() == pytest.approx(4.0 / 4, abs=1e-4)
    assert terms["gap"].item() == pytest.approx(19.0 / 4 - 14.0 / 4, abs=1e-4)
    across = contrastive(**PAPER_CONTRAST, cross_modal_only=True)
    terms = across.loss({"motion": motion, "text": text}, batch, 1.0)
    # Now D_neg is 4, 9, 9, 4: t1 costs 6 - 4 + 1.
    assert terms["total"].item() == pytest.approx(3.0 / 4, abs=1e-4)


def test_infonce_counts_clips_that_share_a_caption_as_right() -> None:
    stage = contrastive(alike_captions=1.1)
    batch = toy_batch()
    unit = F.normalize(torch.randn(B, Z), dim=1)
    terms = stage.loss({"motion": unit, "text": unit}, batch, 1.0)
    right = batch["caption_id"][:, None] == batch["caption_id"][None, :]
    expected = losses.info_nce(unit @ unit.T / 0.07, right)
    torch.testing.assert_close(terms["total"], expected)


def test_wrong_captions_that_are_too_alike_do_not_count() -> None:
    batch = toy_batch(2)
    batch["caption_id"] = torch.tensor([0, 1])
    batch["text_embedding"] = torch.ones(2, D)
    output = {"motion": torch.randn(2, Z), "text": torch.randn(2, Z)}
    assert contrastive().loss(output, batch, 1.0)["total"].item() == pytest.approx(0.0, abs=1e-6)
    assert contrastive(alike_captions=1.1).loss(output, batch, 1.0)["total"].item() > 0.01


def test_a_separated_space_has_every_hit_and_no_warning_and_a_mixed_one_is_told() -> None:
    stage, batch = contrastive(**PAPER_CONTRAST), toy_batch()
    place = 10.0 * torch.eye(CLUSTERS)[batch["cluster"]]
    terms = stage.loss({"motion": place, "text": place}, batch, 1.0)
    assert terms["total"].item() == 0.0 and terms["gap"].item() == pytest.approx(200**0.5)
    assert stage.warnings({name: float(value) for name, value in terms.items()}) == []
    assert terms["top5"].item() == 1.0
    captions = 10.0 * torch.eye(CAPTIONS)[batch["caption_id"]]
    assert stage.loss({"motion": captions, "text": captions}, batch, 1.0)["top1"].item() == 1.0
    terms = stage.loss({"motion": place, "text": place.flip(1)}, batch, 1.0)
    told = stage.warnings({name: float(value) for name, value in terms.items()})
    assert any("not separated" in warning for warning in told)


def test_moco_asks_earlier_batches_too() -> None:
    torch.manual_seed(0)
    # Without frames, whose encoder has dropout: at first the keys are copies of the queries.
    stage = contrastive(loss="moco", queue=5, alike_captions=0.99, motion_input="windows").train()
    first, second = toy_batch(2), toy_batch(4)
    before = stage(first)
    terms = stage.loss(before, first, 1.0)
    # An empty queue changes nothing: this is InfoNCE against the keys, at first copies.
    own = stage.similarity(before["motion"], before["text"]) / 0.07
    right = torch.eye(2, dtype=torch.bool)
    torch.testing.assert_close(terms["total"], losses.info_nce(own, right), atol=1e-4, rtol=1e-4)
    after = stage(second)
    torch.testing.assert_close(after["queue_text"][:2], before["key_text"])
    assert not after["queue_text"][2:].any()
    # The newest come first, and what exceeds the queue is forgotten.
    third = stage(first)
    torch.testing.assert_close(
        third["queue_motion"], torch.cat([after["key_motion"], before["key_motion"][:1]])
    )
    # By hand: the captions 0 and 1 of the queue are the first two of the batch; only wrong
    # ones count, in the batch and in the queue.
    query, key = F.normalize(after["motion"], dim=1), after["key_text"]
    expected = 0.0
    for this, other in (("motion", "text"), ("text", "motion")):
        query, key = F.normalize(after[this], dim=1), after[f"key_{other}"]
        for row in range(4):
            queued = [i for i in (0, 1) if i != row]
            candidates = torch.cat([key, after[f"queue_{other}"][queued]])
            logits = candidates @ query[row] / 0.07
            expected += float((logits.logsumexp(0) - logits[row]).detach() / 8)
    assert stage.loss(after, second, 1.0)["total"].item() == pytest.approx(expected, rel=1e-4)


def test_moco_keys_follow_slowly_and_only_in_training() -> None:
    stage, batch = contrastive(loss="moco", key_momentum=0.9), toy_batch()
    assert stage.key is not None
    with torch.no_grad():
        for parameter in stage.motion_head.parameters():
            parameter.add_(1.0)
    old = [p.clone() for p in stage.key.motion_head.parameters()]
    stage.eval()(batch)
    assert not stage.queue_text.any()
    stage.train()(batch)
    for before, now in zip(old, stage.key.motion_head.parameters()):
        torch.testing.assert_close(now, before + 0.1)


def test_simclr_pushes_motions_apart_and_infonce_does_not() -> None:
    batch = toy_batch(2)
    text = torch.eye(Z)[:2]
    near = torch.eye(Z)[2:4]  # both motions are as far from either caption
    for loss, pushes in (("simclr", True), ("infonce", False)):
        motion = (near + 0.5).requires_grad_(True)
        stage = contrastive(loss=loss)
        stage.loss({"motion": motion, "text": text}, batch, 1.0)["total"].backward()
        assert motion.grad is not None
        apart = -(motion.grad[0] @ near[0] - motion.grad[0] @ near[1])
        assert (apart.item() > 1e-3) == pushes, loss


def test_similarity_is_what_the_loss_goes_by() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.5, 0.0]])
    by = {d: contrastive(**PAPER_CONTRAST, distance=d) for d in ("euclidean", "dot", "cosine")}
    assert by["dot"].similarity(a, b).tolist() == [[4.0, 0.5]]
    assert by["euclidean"].similarity(a, b)[0].argmax().item() == 1
    torch.testing.assert_close(by["cosine"].similarity(a, b), torch.tensor([[-0.2, 0.0]]))
    assert [by[d].metric for d in by] == ["euclidean", "cosine", "cosine"]


@pytest.mark.parametrize("changes", [{"queue": 0}, {"key_momentum": 1.0}])
def test_a_queue_that_cannot_be_is_refused(changes: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        ContrastiveConfig(**changes)


@pytest.mark.parametrize("loss", ["infonce", "triplet"])
def test_a_collapsed_space_is_noticed_in_either_modality(loss: str) -> None:
    stage = contrastive(loss=loss)
    for modality in ("motion", "text"):
        output = {"motion": torch.randn(B, Z), "text": torch.randn(B, Z)}
        output[modality] = torch.ones(B, Z)
        terms = stage.loss(output, toy_batch(), 1.0)
        told = stage.warnings({name: float(value) for name, value in terms.items()})
        assert any(f"{modality} embeddings have collapsed" in warning for warning in told)


def test_the_paper_way_trains_the_heads_alone() -> None:
    names = {name.split(".")[0] for name, _ in contrastive(**PAPER_CONTRAST).named_parameters()}
    assert names == {"motion_head", "text_head"}


def test_each_way_of_reading_motion_trains_what_it_reads() -> None:
    reads = {
        "both": {"frames", "components"},
        "frames": {"frames"},
        "basis": {"components"},
        "windows": {"encoder"},
    }
    for kind, own in reads.items():
        parameters = contrastive(motion_input=kind).named_parameters()
        names = {name.split(".")[0] for name, _ in parameters}
        assert names == own | {"motion_head", "text_head"}, kind


def test_a_space_of_coefficients_sees_the_basis_alone() -> None:
    """What lies outside the basis moves a space of frames, and not one of coefficients."""
    batch, basis = toy_batch(4), basis_layer()
    other = torch.randn_like(batch["motion"])
    outside = other - basis.decode(basis.encode(other + basis.mean)) + basis.mean
    motion = torch.randn_like(batch["motion"])  # no joint is absent
    with torch.no_grad():
        for kind, sees in (("basis", False), ("both", True), ("frames", True)):
            stage = contrastive(motion_input=kind).eval()
            points = [
                stage.project_motion({"motion": motion + more})
                for more in (torch.zeros(()), outside)
            ]
            assert (not torch.allclose(*points, atol=1e-4)) == sees, kind

"""Every trained stage: learns one batch, reloads, is safe under DDP; and each one's own guards."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from raydance import losses, training
from raydance.artifacts import load_bundle, save_bundle
from raydance.errors import ConfigError
from raydance.language_model import IGNORED, small_language
from raydance.stages.base import Stage, TrainConfig
from raydance.stages.caption_writer import CaptionWriter, CaptionWriterConfig
from raydance.stages.contrastive import Contrastive, ContrastiveConfig
from raydance.stages.motion_to_text import MotionToText, MotionToTextConfig
from raydance.stages.motion_vae import MotionVae, MotionVaeConfig, build_decoder, build_encoder
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig, competence
from raydance.stages.text_to_motion import TextToMotion, TextToMotionConfig

B, T, J, H, Z, D = 16, 8, 4, 32, 12, 20
CAPTIONS, CLUSTERS = 4, 2
VAE = MotionVaeConfig(num_joints=J, num_frames=T, hidden=H, latent=Z)


@dataclass(frozen=True)
class Case:
    """A stage, how to build it small, and how far it must come on one batch.

    `floor` is the least value of its loss: with n right pairs in each row InfoNCE's is log n.
    """

    name: str
    build: Callable[[], Stage]
    steps: int = 80
    lr: float = 5e-3
    falls_to: float = 0.3
    floor: float = 0.0


def contrastive(**changes: object) -> Contrastive:
    config = ContrastiveConfig(width=H, outputs=Z, **changes)  # type: ignore[arg-type]
    return Contrastive(config, Z, D, build_encoder(VAE))


def text_to_motion(**changes: object) -> TextToMotion:
    config = TextToMotionConfig(**changes)  # type: ignore[arg-type]
    return TextToMotion(config, Z, build_encoder(VAE), build_decoder(VAE))


def motion_to_text(**changes: object) -> MotionToText:
    config = MotionToTextConfig(hidden=H, **changes)  # type: ignore[arg-type]
    return MotionToText(config, Z, D)


def caption_writer(**changes: object) -> CaptionWriter:
    config = CaptionWriterConfig(width=H, layers=1, states=2, **changes)  # type: ignore[arg-type]
    language = small_language(["a b"], vocabulary=300, width=H, layers=1, dropout=0.1)
    return CaptionWriter(config, Z, language)


PAPER_CONTRAST = {"loss": "triplet", "motion_input": "latent", "text_input": "latent"}

CASES = (
    Case("motion_vae", lambda: MotionVae(VAE), steps=120, lr=1e-2, falls_to=0.4),
    Case(
        "motion_vae_conv2d",
        lambda: MotionVae(MotionVaeConfig(**{**vars(VAE), "encoder": "conv2d"})),
        steps=120,
        lr=1e-2,
        falls_to=0.4,
    ),
    Case(
        "text_encoder",
        lambda: TextEncoder(TextEncoderConfig(hidden=H, latent=Z, final_relu=False), D),
    ),
    Case("contrastive", contrastive, falls_to=0.05, floor=math.log(B / CAPTIONS)),
    Case(
        "contrastive_supcon",
        lambda: contrastive(loss="supcon"),
        falls_to=0.05,
        floor=math.log(B / CLUSTERS),
    ),
    Case("contrastive_paper", lambda: contrastive(**PAPER_CONTRAST), falls_to=0.05),
    Case(
        "contrastive_soft_cross_modal",
        lambda: contrastive(**PAPER_CONTRAST, tau=0.5, cross_modal_only=True, distance="cosine"),
        falls_to=0.2,
    ),
    Case(
        "contrastive_dot",
        lambda: contrastive(**PAPER_CONTRAST, distance="dot", text_head="linear"),
        falls_to=0.05,
    ),
    Case(
        "contrastive_simclr",
        lambda: contrastive(loss="simclr"),
        falls_to=0.05,
        floor=math.log(B / CAPTIONS),
    ),
    Case(
        "contrastive_moco",
        lambda: contrastive(loss="moco", queue=2 * B),
        falls_to=0.05,
        floor=math.log(B / CAPTIONS),
    ),
    Case("motion_to_text", motion_to_text, falls_to=0.1),
    Case(
        "motion_to_text_paper",
        lambda: motion_to_text(motion_input="latent", negatives="cluster"),
        falls_to=0.1,
    ),
    Case("text_to_motion", text_to_motion, steps=150),
    Case("text_to_motion_gelu", lambda: text_to_motion(gelu=True), steps=150),
    Case("caption_writer", caption_writer, falls_to=0.1),
    Case("caption_writer_of_latents", lambda: caption_writer(motion_input="latent"), falls_to=0.1),
    Case("text_to_motion_scratch", lambda: text_to_motion(decoder_start="scratch"), steps=150),
)
every_stage = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def toy_batch(size: int = B, seed: int = 0) -> dict[str, Tensor]:
    """A batch in which the caption determines the motion, up to noise."""
    generator = torch.Generator().manual_seed(seed)
    of_captions = torch.Generator().manual_seed(99)
    caption = torch.arange(size) % CAPTIONS
    time = torch.linspace(0, 2 * math.pi, T)[None, :, None, None]
    phase = 3.0 * torch.rand(CAPTIONS, 1, J, 3, generator=of_captions)
    noise = 0.05 * torch.randn(size, T, J, 3, generator=generator)
    text = torch.randn(CAPTIONS, D, generator=of_captions)
    latent = torch.randn(CAPTIONS, Z, generator=of_captions)
    tokens = torch.randint(3, 40, (CAPTIONS, 6), generator=of_captions)
    tokens[:, -1], tokens[0, 4:] = 1, torch.tensor([1, IGNORED])
    mask = torch.ones(size, J, dtype=torch.bool)
    mask[0, 1] = False
    motion = torch.sin((1 + caption)[:, None, None, None] * time + phase[caption]) + noise
    return {
        "motion": torch.where(mask[:, None, :, None], motion, 0.0),
        "joint_mask": mask,
        "latent": latent[caption] + 0.1 * torch.randn(size, Z, generator=generator),
        "motion_embedding": latent[caption] + 0.1 * torch.randn(size, Z, generator=generator),
        "caption_id": caption,
        "cluster": caption % CLUSTERS,
        "difficulty": caption / (CAPTIONS - 1),
        "text_embedding": text[caption],
        "caption_tokens": tokens[caption],
        "text_latent": latent[caption],
    }


def built(case: Case, seed: int = 0) -> Stage:
    torch.manual_seed(seed)
    return case.build()


def train(stage: Stage, batch: dict[str, Tensor], steps: int, lr: float) -> None:
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], lr)
    stage.train()
    for step in range(steps):
        progress = step / (steps - 1)
        optimizer.zero_grad()
        stage.loss(stage(batch, progress), batch, progress)["total"].backward()
        optimizer.step()


def evaluate(stage: Stage, batch: dict[str, Tensor]) -> dict[str, float]:
    stage.eval()
    with torch.no_grad():
        terms = stage.loss(stage(batch), batch, 1.0)
    return {name: float(value) for name, value in terms.items()}


# What holds for every stage --------------------------------------------------------------------


@every_stage
def test_a_stage_learns_one_batch_and_reloads_identically(case: Case, tmp_path: Path) -> None:
    stage, batch = built(case), toy_batch()
    start = evaluate(stage, batch)["total"]
    train(stage, batch, case.steps, case.lr)
    end = evaluate(stage, batch)
    assert end["total"] - case.floor < case.falls_to * (start - case.floor)

    save_bundle(tmp_path / "stage.safetensors", stage.state_dict(), {})
    again = built(case, seed=1)
    assert evaluate(again, batch) != end
    again.load_state_dict(load_bundle(tmp_path / "stage.safetensors")[0])
    assert evaluate(again, batch) == end
    for name in ("infer", "infer_captions"):
        before, after = getattr(stage, name)(batch), getattr(again, name)(batch)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)


@every_stage
def test_a_stage_names_its_terms_and_needs_only_the_columns_it_reads(case: Case) -> None:
    stage, batch = built(case), toy_batch()
    batch = {name: batch[name] for name in stage.columns_read()}
    for mode in (True, False):
        stage.train(mode)
        for progress in (0.0, 0.5, 1.0):
            terms = stage.loss(stage(batch, progress), batch, progress)
            assert "total" in terms
            for name, value in terms.items():
                assert value.shape == () and value.isfinite(), (name, progress)
    assert isinstance(stage.warnings({name: float(v.detach()) for name, v in terms.items()}), list)


@every_stage
@pytest.mark.parametrize("size", [1, 2, B])
def test_every_trainable_parameter_gets_a_finite_gradient(case: Case, size: int) -> None:
    stage = built(case).train()  # DDP waits for ever for a parameter that takes no part
    batch = toy_batch(size)
    for progress in (0.0, 0.15, 0.5, 1.0):
        stage.zero_grad(set_to_none=True)
        stage.loss(stage(batch, progress), batch, progress)["total"].backward()
        for name, parameter in stage.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, (name, progress)
                assert parameter.grad.isfinite().all(), (name, progress)


@every_stage
def test_a_stage_learns_in_half_precision(case: Case) -> None:
    stage, batch = built(case), toy_batch()
    start = evaluate(stage, batch)["total"]
    config = TrainConfig(epochs=1)
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], case.lr)
    scheduler = training._scheduler(config, optimizer, 10)
    scaler = torch.amp.GradScaler("cpu")
    metrics = training._train_epoch(
        stage, stage, config, iter([batch] * 10), optimizer, scheduler, scaler, 1.0
    )
    assert all(math.isfinite(value) for value in metrics.values())
    assert evaluate(stage, batch)["total"] < start


@every_stage
def test_the_loss_is_pure(case: Case) -> None:
    stage, batch = built(case).train(), toy_batch()
    output = stage(batch, 0.5)
    kept_state, kept_batch = copy.deepcopy(stage.state_dict()), copy.deepcopy(batch)
    kept_output = {name: value.detach().clone() for name, value in output.items()}
    noise = torch.get_rng_state()
    first = stage.loss(output, batch, 0.5)
    second = stage.loss(output, batch, 0.5)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(noise, torch.get_rng_state())
    assert stage.training
    for kept, now in (
        (kept_state, stage.state_dict()),
        (kept_batch, batch),
        (kept_output, output),
    ):
        assert kept.keys() == now.keys()
        assert all(torch.equal(kept[name], now[name]) for name in kept)


@every_stage
def test_the_columns_added_are_those_declared(case: Case) -> None:
    stage, batch = built(case).eval(), toy_batch()
    assert tuple(stage.infer(batch)) == stage.adds
    assert tuple(stage.infer_captions(batch)) == stage.adds_to_captions
    for values in (*stage.infer(batch).values(), *stage.infer_captions(batch).values()):
        assert values.shape == (B, Z)


def test_the_names_of_stages_differ() -> None:
    stages = (MotionVae, TextEncoder, Contrastive, MotionToText, TextToMotion, CaptionWriter)
    assert len({stage.name for stage in stages}) == len(stages)
    assert {type(case.build()) for case in CASES} == set(stages)


# Motion VAE ------------------------------------------------------------------------------------


def vae_terms(config: MotionVaeConfig, progress: float) -> dict[str, float]:
    batch = toy_batch(4)
    batch["joint_mask"][:] = True
    output = {
        "mu": torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None].expand(4, Z),
        "logvar": torch.zeros(4, Z),
        "motion": batch["motion"] + 2.0 * torch.arange(T)[None, :, None, None],
    }
    terms = MotionVae(config).loss(output, batch, progress)
    return {name: float(value) for name, value in terms.items()}


def test_eq8_by_hand() -> None:
    # Errors are 0, 2, ... 14: mean square 4 * 140 / 8, mean size 7; velocity error 2 throughout.
    recon = 0.7 * 4 * 140 / 8 + 0.3 * 7
    for progress, beta in ((0.0, 0.01), (0.2, 0.105), (1.0, 0.2)):
        terms = vae_terms(VAE, progress)
        assert terms["recon"] == pytest.approx(recon, rel=1e-5)
        assert terms["velocity"] == pytest.approx(4.0, rel=1e-4)
        assert terms["kl"] == pytest.approx(0.5)
        assert terms["beta"] == pytest.approx(beta)
        assert terms["total"] == pytest.approx(recon + 0.5 * 4.0 + beta * 0.5, rel=1e-5)
        assert terms["recon_per_sequence"] == pytest.approx(recon * T * J * 3, rel=1e-5)


def test_the_total_is_never_below_the_reconstruction_and_the_printed_eq7_makes_it_so() -> None:
    fixed = vae_terms(VAE, 1.0)
    assert fixed["total"] >= fixed["recon"]
    assert MotionVae(VAE).warnings(fixed) == []
    literal = MotionVaeConfig(**{**vars(VAE), "literal_eq7": True, "velocity_weight": 0.0})
    printed = vae_terms(literal, 1.0)
    assert printed["total"] < printed["recon"]  # as in the paper's Table I
    assert any("eq. 7 as printed" in warning for warning in MotionVae(literal).warnings(printed))


def test_training_the_printed_eq7_diverges_and_says_so() -> None:
    torch.manual_seed(0)
    stage = MotionVae(MotionVaeConfig(**{**vars(VAE), "literal_eq7": True}))
    batch = toy_batch()
    before = evaluate(stage, batch)
    train(stage, batch, steps=60, lr=2e-2)
    after = evaluate(stage, batch)
    assert after["kl"] < -100 and after["total"] < -10  # without end
    assert after["recon"] > 0.8 * before["recon"]  # and nothing was learnt
    assert stage.warnings(after)


def test_a_collapsed_latent_is_noticed() -> None:
    stage = MotionVae(VAE)
    torch.nn.init.zeros_(stage.encoder.mu.weight)
    assert any("collapsed" in w for w in stage.warnings(evaluate(stage, toy_batch())))


def test_the_latent_is_sampled_in_training_and_the_mean_in_evaluation() -> None:
    stage, batch = MotionVae(VAE), toy_batch()
    stage.train()
    assert not torch.equal(stage(batch)["motion"], stage(batch)["motion"])
    stage.eval()
    output = stage(batch)
    assert torch.equal(output["motion"], stage.decoder(output["mu"], T))
    assert torch.equal(stage.infer(batch)["latent"], output["mu"])


def test_eq3_has_the_mean_and_deviation_of_the_posterior() -> None:
    stage = MotionVae(VAE).train()
    batch = {name: value[:1].expand(4000, *value.shape[1:]) for name, value in toy_batch().items()}
    seen: list[Tensor] = []
    stage.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    output = stage(batch)
    torch.testing.assert_close(seen[0].mean(0), output["mu"][0].detach(), atol=0.1, rtol=0)
    deviation = (0.5 * output["logvar"][0]).exp().detach()
    torch.testing.assert_close(seen[0].std(0), deviation, atol=0, rtol=0.1)


# Text encoder ----------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))
def test_the_curriculum_only_ever_opens(a: float, b: float, start: float) -> None:
    early, late = (competence(p, start) for p in sorted((a, b)))
    assert start - 1e-9 <= early <= late <= 1.0


def test_the_curriculum_starts_where_it_should_and_is_open_from_half_way_on() -> None:
    assert competence(0.0, 0.3) == pytest.approx(0.3)
    assert competence(0.25, 0.3) == pytest.approx(math.sqrt(0.5 * (1 - 0.09) + 0.09))
    assert competence(0.5, 0.3) == competence(1.0, 0.3) == 1.0


def test_the_curriculum_keeps_hard_captions_out_of_the_gradient() -> None:
    stage, batch = TextEncoder(TextEncoderConfig(hidden=H, latent=Z), D), toy_batch()
    output = stage(batch)
    text = output["text_latent"].detach().requires_grad_(True)
    terms = stage.loss({"text_latent": text}, batch, 0.0)
    assert terms["admitted"].item() == pytest.approx(0.25)  # only difficulty 0 is below .3
    terms["total"].backward()
    assert text.grad is not None
    assert (text.grad.abs().sum(1) > 0).tolist() == (batch["difficulty"] <= 0.3).tolist()
    easy = batch["difficulty"] <= 0.3
    alone = losses.hybrid_alignment(text[easy], batch["latent"][easy])["total"].mean()
    torch.testing.assert_close(terms["total"], alone)
    assert stage.loss(output, batch, 1.0)["admitted"].item() == 1.0


def test_eq11_ends_in_a_relu_and_a_norm() -> None:
    torch.manual_seed(0)
    text = toy_batch()["text_embedding"]
    stage = TextEncoder(TextEncoderConfig(hidden=H, latent=Z), D)
    z = stage.encode(text)
    torch.testing.assert_close(z.mean(1), torch.zeros(B), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.norm(dim=1), torch.full((B,), math.sqrt(Z)), atol=1e-2, rtol=0)
    lowest = z.amin(1, keepdim=True)
    assert ((z - lowest).abs() < 1e-6).sum(1).min() >= 2  # the ReLU's ties
    free = TextEncoder(TextEncoderConfig(hidden=H, latent=Z, final_relu=False), D).encode(text)
    assert ((free - free.amin(1, keepdim=True)).abs() < 1e-6).sum(1).max() == 1


def test_collapsed_text_latents_are_noticed() -> None:
    stage = TextEncoder(TextEncoderConfig(hidden=H, latent=Z), D)
    torch.nn.init.zeros_(stage.first.weight)
    assert stage.warnings(evaluate(stage, toy_batch()))


# Contrastive -----------------------------------------------------------------------------------


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
    captions = 10.0 * torch.eye(CAPTIONS)[batch["caption_id"]]
    assert stage.loss({"motion": captions, "text": captions}, batch, 1.0)["top1"].item() == 1.0
    terms = stage.loss({"motion": place, "text": place.flip(1)}, batch, 1.0)
    told = stage.warnings({name: float(value) for name, value in terms.items()})
    assert any("not separated" in warning for warning in told)


def test_moco_asks_earlier_batches_too() -> None:
    torch.manual_seed(0)
    stage = contrastive(loss="moco", queue=5, alike_captions=0.99).train()
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
    names = {name.split(".")[0] for name, _ in contrastive().named_parameters()}
    assert names == {"encoder", "motion_head", "text_head"}


# Motion to text --------------------------------------------------------------------------------


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


# Text to motion --------------------------------------------------------------------------------


def test_eq20_by_hand() -> None:
    batch = toy_batch(4)
    batch["joint_mask"][:] = True
    motion = batch["motion"] + 2.0 * torch.arange(T)[None, :, None, None]
    terms = text_to_motion().loss({"motion": motion}, batch, 1.0)
    recon = 4 * 140 / 8
    assert terms["recon"].item() == pytest.approx(recon, rel=1e-5)
    assert terms["total"].item() == pytest.approx(recon + 0.5 * 4.0, rel=1e-5)


def test_layers_thaw_one_by_one_and_move_only_then() -> None:
    stage = text_to_motion(unfreeze=(0.1, 0.3, 0.6))
    layers = (stage.decoder.initial, stage.decoder.recurrent, stage.decoder.output)
    for progress, held in ((0.0, 3), (0.1, 2), (0.3, 1), (0.59, 1), (0.6, 0), (1.0, 0)):
        expected = [p for layer in layers[3 - held :] for p in layer.parameters()]
        assert [id(p) for p in stage.held_back(progress)] == [id(p) for p in expected]
    always = {id(p) for p in (*stage.fusion.parameters(), *stage.norm.parameters())}
    assert not always & {id(p) for p in stage.held_back(0.0)}
    assert all(p.requires_grad for p in stage.held_back(0.0))  # or DDP would leave them out


def test_a_decoder_from_scratch_moves_at_once() -> None:
    stage = text_to_motion(decoder_start="scratch", unfreeze=(0.5, 0.6, 0.7))
    assert list(stage.held_back(0.0)) == []


def test_the_encoder_is_frozen() -> None:
    stage, batch = text_to_motion(), toy_batch()
    before = copy.deepcopy(stage.encoder.state_dict())
    train(stage, batch, steps=3, lr=1e-2)
    assert all(torch.equal(v, before[k]) for k, v in stage.encoder.state_dict().items())


def test_the_first_phase_knows_no_text_and_the_second_does() -> None:
    stage, batch = text_to_motion(latent_dropout=0.0).train(), toy_batch()
    other = batch | {"text_latent": batch["text_latent"].flip(0)}
    with torch.no_grad():
        assert torch.equal(stage(batch, 0.1)["motion"], stage(other, 0.1)["motion"])
        assert not torch.equal(stage(batch, 0.3)["motion"], stage(other, 0.3)["motion"])


def test_the_true_latent_is_hidden_as_often_as_configured() -> None:
    torch.manual_seed(0)
    batch = {name: value[:1].expand(400, *value.shape[1:]) for name, value in toy_batch().items()}
    for share in (0.0, 0.5, 1.0):
        stage = text_to_motion(latent_dropout=share).train()
        with torch.no_grad():
            seen = stage.generate(batch["text_latent"], stage.encoder(batch["motion"])[0])
            kept = (stage(batch, 1.0)["motion"] - seen).abs().amax((1, 2, 3)) < 1e-6
        assert 1.0 - kept.float().mean().item() == pytest.approx(share, abs=0.1)


def test_other_words_give_another_motion_after_training() -> None:
    torch.manual_seed(0)
    stage, batch = text_to_motion(), toy_batch()
    train(stage, batch, steps=200, lr=5e-3)
    stage.eval()
    held_out = toy_batch(seed=1)  # the same words, other noise
    mask = held_out["joint_mask"]
    no_latent = torch.zeros(B, Z)
    with torch.no_grad():
        told = stage.generate(held_out["text_latent"], no_latent, T)
        mixed = stage.generate(held_out["text_latent"].roll(1, 0), no_latent, T)
    right = losses.reconstruction(held_out["motion"], told, mask, 1.0)
    wrong = losses.reconstruction(held_out["motion"], mixed, mask, 1.0)
    assert right < 0.25 * wrong
    assert right < 0.25 * held_out["motion"].var()
    # A shuffle of captions shuffles motions: the words, and not the rows, decide.
    torch.testing.assert_close(mixed, told.roll(1, 0), atol=1e-5, rtol=1e-4)


def test_motion_of_another_length_is_generated() -> None:
    stage = text_to_motion().eval()
    assert stage.generate(torch.randn(2, Z), torch.randn(2, Z), 2 * T).shape == (2, 2 * T, J, 3)

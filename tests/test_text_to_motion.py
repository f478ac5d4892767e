"""Text to motion: eq. 20 by hand, layers that thaw, and words that decide the motion."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from line_training import QUICK, Memory
from small_stages import (
    VAE,
    VAE_BASIS,
    B,
    J,
    T,
    Z,
    evaluate,
    text_to_motion,
    toy_batch,
    train,
)
from torch import Tensor

from raydance.errors import ConfigError
from raydance.nn import losses
from raydance.stages.base import Batch
from raydance.stages.motion_vae import MotionVaeConfig
from raydance.training import loop as training


def test_eq20_by_hand() -> None:
    batch = toy_batch(4)
    batch["joint_mask"][:] = True
    motion = batch["motion"] + 2.0 * torch.arange(T)[None, :, None, None]
    terms = text_to_motion().loss({"motion": motion}, batch, 1.0)
    recon = 4 * 140 / 8
    assert terms["recon"].item() == pytest.approx(recon, rel=1e-5)
    assert terms["total"].item() == pytest.approx(recon + 0.5 * 4.0, rel=1e-5)


@pytest.mark.parametrize("vae", [VAE, VAE_BASIS])
def test_layers_thaw_one_by_one_and_move_only_then(vae: MotionVaeConfig) -> None:
    stage = text_to_motion(vae, unfreeze=(0.1, 0.3, 0.6))
    decoder = stage.decoder
    levels = (decoder.initial, decoder.recurrent, decoder.output)
    assert {id(p) for layer in levels for p in layer.parameters()} == {
        id(p) for p in decoder.parameters()
    }
    for progress, held in ((0.0, 3), (0.1, 2), (0.3, 1), (0.59, 1), (0.6, 0), (1.0, 0)):
        layers = levels[3 - held :]
        expected = [p for layer in layers for p in layer.parameters()]
        assert [id(p) for p in stage.held_back(progress)] == [id(p) for p in expected]
    always = {id(p) for p in stage.fusion.parameters()}
    assert not always & {id(p) for p in stage.held_back(0.0)}
    assert all(p.requires_grad for p in stage.held_back(0.0))  # or DDP would leave them out


def test_a_residual_fusion_starts_from_what_the_vae_rebuilds() -> None:
    stage = text_to_motion(fusion="residual").eval()
    text, latent = torch.randn(3, Z), torch.randn(3, Z)
    torch.testing.assert_close(stage.generate(text, latent, T), stage.decoder(latent, T))


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="gelu: for fusion=linear alone"):
        text_to_motion(fusion="residual", gelu=True)


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


class Toy(Memory):
    def cut(self, order: Tensor) -> Iterator[Batch]:
        yield toy_batch()


def test_a_training_neither_ends_nor_keeps_weights_before_text_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Validation likes the first phase best; patience would end the training within it.
    turn = iter(range(1, 11))
    spreads = {"text_only_spread": 1.0, "text_spread": 1.0}
    monkeypatch.setattr(training, "validate", lambda *_: {"total": float(next(turn))} | spreads)
    stage = text_to_motion(reconstruction_phase=0.5)
    before = stage.fusion[0].weight[:, :Z].detach().clone()
    config = replace(QUICK, epochs=10, patience=2, schedule="plateau", period=1)
    result = training.fit(stage, config, Toy(), seed=0)
    assert (result.best_epoch, result.epochs) == (5, 8)  # 5 / 9 is the first share from .5 on
    # What the kept weights make of words has been trained.
    assert not torch.equal(stage.fusion[0].weight[:, :Z], before)


def test_motion_that_ignores_its_caption_is_told() -> None:
    stage, batch = text_to_motion(), toy_batch()
    heard = evaluate(stage, batch)
    assert heard["text_only_spread"] > 0.01 * heard["text_spread"] and not stage.warnings(heard)
    one_caption = batch | {"text_latent": batch["text_latent"][:1].expand(B, Z)}
    assert not stage.warnings(evaluate(stage, one_caption))  # nothing to shuffle
    with torch.no_grad():
        stage.fusion[0].weight[:, :Z] = 0.0
    told = stage.warnings(evaluate(stage, batch))
    assert any("shuffled captions do not change the motion" in warning for warning in told)


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
    mask = losses.real_joints(held_out["joint_mask"], held_out["length"], T)
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

"""The motion VAE: its loss by hand (eq. 3, 7 and 8) and the warnings of its failures."""

from __future__ import annotations

import pytest
import torch
from small_stages import VAE, J, T, Z, evaluate, toy_batch, train
from torch import Tensor

from raydance.stages.motion_vae import MotionVae, MotionVaeConfig


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
    told = MotionVae(literal).warnings(printed)
    assert any("eq. 7 as printed" in warning for warning in told)
    assert any("is below the reconstruction" in warning for warning in told)


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

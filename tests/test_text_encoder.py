"""The text encoder: the curriculum, eq. 11, and a collapse that is noticed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_stages import B, D, H, Z, evaluate, toy_batch

from raydance.nn import losses
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig, competence


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

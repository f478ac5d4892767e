"""Network blocks: the paper's shapes and counts, attention, other lengths."""

from __future__ import annotations

import pytest
import scipy.fft
import torch

from raydance import nn
from raydance.stages.motion_vae import MotionVae, MotionVaeConfig
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_attention_weights_sum_to_one_and_weigh_the_context() -> None:
    encoder = nn.MotionEncoder(4, 9, 8, 6)
    motion = torch.randn(3, 9, 4, 3)
    context, weight = encoder.context(motion)
    assert weight.shape == (3, 9) and bool((weight > 0).all())
    torch.testing.assert_close(weight.sum(1), torch.ones(3))
    hidden, _ = encoder.recurrent(encoder.project(motion.flatten(2)))
    torch.testing.assert_close(context, torch.einsum("bt,bth->bh", weight, hidden))


def test_equal_scores_make_the_context_a_mean() -> None:
    encoder = nn.MotionEncoder(4, 9, 8, 6)
    torch.nn.init.zeros_(encoder.attention.weight)
    motion = torch.randn(2, 5, 4, 3)
    hidden, _ = encoder.recurrent(encoder.project(motion.flatten(2)))
    torch.testing.assert_close(encoder.context(motion)[0], hidden.mean(1))


def test_a_gru_has_three_quarters_of_an_lstm() -> None:
    lstm, gru = (
        nn.MotionEncoder(50, 50, 384, 256, cell=cell).recurrent for cell in ("lstm", "gru")
    )
    assert isinstance(lstm, torch.nn.LSTM) and isinstance(gru, torch.nn.GRU)
    assert 4 * count(gru) == 3 * count(lstm)
    vae = MotionVae(MotionVaeConfig())
    assert 4 * count(vae.decoder.recurrent) == 3 * count(vae.encoder.recurrent)


def test_the_default_vae_has_the_shapes_of_the_paper() -> None:
    vae = MotionVae(MotionVaeConfig())
    assert isinstance(vae.encoder, nn.MotionEncoder)
    assert vae.encoder.project.weight.shape == (384, 150)
    assert vae.encoder.attention.weight.shape == (1, 384)
    assert vae.encoder.mu.weight.shape == vae.encoder.logvar.weight.shape == (256, 384)
    assert vae.decoder.initial.weight.shape == (384, 256)
    assert vae.decoder.output.weight.shape == (150, 384)
    output = vae({"motion": torch.zeros(2, 50, 50, 3)})
    assert output["mu"].shape == output["logvar"].shape == (2, 256)
    assert output["motion"].shape == (2, 50, 50, 3)


def test_the_text_head_has_the_parameters_of_the_paper() -> None:
    # 768*512+512, 512*256+256, and the layer norm's 2*256: .5 % of BERT-base's 109.5 million.
    assert count(TextEncoder(TextEncoderConfig(), 768)) == 525_568


@pytest.mark.parametrize("frames", [1, 7, 80])
def test_the_decoder_goes_on_beyond_its_window(frames: int) -> None:
    decoder = nn.MotionDecoder(4, 20, 8, 6).eval()
    latent = torch.randn(3, 6)
    out = decoder(latent, frames)
    assert out.shape == (3, frames, 4, 3)
    shared = min(frames, 20)
    torch.testing.assert_close(out[:, :shared], decoder(latent)[:, :shared])


@pytest.mark.parametrize(("joints", "frames", "hidden"), [(50, 50, 384), (5, 3, 16), (50, 9, 200)])
def test_the_convolutional_encoder_takes_any_size(joints: int, frames: int, hidden: int) -> None:
    encoder = nn.ConvMotionEncoder(joints, frames, hidden, 6)
    mu, logvar = encoder(torch.randn(2, frames, joints, 3))
    assert mu.shape == logvar.shape == (2, 6)


def test_the_projection_head_is_not_bounded_below() -> None:
    torch.manual_seed(0)
    head = nn.projection_head(5, 8, 7)
    linear = [layer for layer in head if isinstance(layer, torch.nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(5, 8), (8, 8), (8, 7)]
    out = head(torch.randn(64, 5))
    assert bool((out < 0).any()) and bool((out > 0).any())


def test_cosines_are_the_orthonormal_dct() -> None:
    basis = nn.cosines(20, 20, 20)
    signal = torch.randn(20, 3)
    expected = scipy.fft.dct(signal.double().numpy(), norm="ortho", axis=0)
    torch.testing.assert_close(
        (basis.T @ signal).double(), torch.from_numpy(expected), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(basis @ basis.T, torch.eye(20), atol=1e-5, rtol=0)


def test_cosines_go_on_mirrored_beyond_the_window() -> None:
    there_and_back = nn.cosines(40, 20, 7)
    torch.testing.assert_close(there_and_back[:20], nn.cosines(20, 20, 7))
    torch.testing.assert_close(there_and_back[20:], there_and_back[:20].flip(0), atol=1e-5, rtol=0)


def test_a_short_window_has_no_more_cosines_than_frames() -> None:
    assert nn.MotionDecoder(4, 5, 8, 6, num_cosines=16).num_cosines == 5
    assert nn.MotionEncoder(4, 5, 8, 6, num_cosines=16).num_cosines == 5


def test_a_linear_path_rebuilds_motion_without_the_recurrent_layers() -> None:
    """With as many cosines as frames and the right weights, encoder and decoder lose nothing."""
    joints, frames = 2, 6
    size = frames * joints * 3
    encoder = nn.MotionEncoder(joints, frames, 8, size, num_cosines=frames)
    decoder = nn.MotionDecoder(joints, frames, 8, size, num_cosines=frames)
    for layer in (encoder.mu, decoder.output):
        for parameter in layer.parameters():
            torch.nn.init.zeros_(parameter)
    assert encoder.linear is not None and decoder.linear is not None
    torch.nn.init.eye_(encoder.linear.weight)
    torch.nn.init.eye_(decoder.linear.weight)
    motion = torch.randn(3, frames, joints, 3)
    torch.testing.assert_close(decoder(encoder(motion)[0]), motion, atol=1e-5, rtol=1e-5)
    latent = torch.randn(3, size)
    longer = decoder(latent, 2 * frames)
    assert longer.shape == (3, 2 * frames, joints, 3)
    torch.testing.assert_close(longer[:, :frames], decoder(latent))

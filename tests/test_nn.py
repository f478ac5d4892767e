"""Network blocks: the paper's shapes and counts, attention, other lengths."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raydance.nn import blocks as nn
from raydance.nn.conditioning import AdapterConfig, SignalAdapter
from raydance.nn.convolutions import SequenceDecoder, SequenceEncoder
from raydance.stages.motion_vae import MotionVae, MotionVaeConfig
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_attention_weights_sum_to_one_and_weigh_the_context() -> None:
    encoder = nn.MotionEncoder(4, 8, 6)
    motion = torch.randn(3, 9, 4, 3)
    context, weight = encoder.context(motion)
    assert weight.shape == (3, 9) and bool((weight > 0).all())
    torch.testing.assert_close(weight.sum(1), torch.ones(3))
    hidden, _ = encoder.recurrent(encoder.project(motion.flatten(2)))
    torch.testing.assert_close(context, torch.einsum("bt,bth->bh", weight, hidden))


def test_equal_scores_make_the_context_a_mean() -> None:
    encoder = nn.MotionEncoder(4, 8, 6)
    torch.nn.init.zeros_(encoder.attention.weight)
    motion = torch.randn(2, 5, 4, 3)
    hidden, _ = encoder.recurrent(encoder.project(motion.flatten(2)))
    torch.testing.assert_close(encoder.context(motion)[0], hidden.mean(1))


def test_a_gru_has_three_quarters_of_an_lstm() -> None:
    lstm, gru = (nn.MotionEncoder(50, 384, 256, cell=cell).recurrent for cell in ("lstm", "gru"))
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


def test_the_frame_encoder_takes_any_length() -> None:
    encoder = nn.FrameEncoder(4, 16, 6).eval()
    for frames in (1, 7, 50):
        assert encoder(torch.randn(2, frames, 4, 3)).shape == (2, 6)


def test_the_frame_encoder_averages_over_time_and_takes_its_extremes() -> None:
    encoder = nn.FrameEncoder(2, 8, 3).eval()
    motion = torch.randn(2, 9, 2, 3)
    hidden = encoder.blocks(motion.flatten(2).transpose(1, 2))
    assert hidden.shape == (2, 8, 3)  # a quarter of 9 frames, rounded up
    features = encoder.features(motion)
    torch.testing.assert_close(features[:, :8], hidden.mean(2))
    torch.testing.assert_close(features[:, 8:], hidden.max(2).values)


def layer_of(num: int, frames: int = 6, joints: int = 2) -> nn.MotionBasis:
    """Orthonormal components around a mean, whitened by scales 1, 2, ..."""
    size = frames * joints * 3
    axes, _ = torch.linalg.qr(torch.randn(size, num))
    scale = torch.arange(1.0, num + 1.0)[:, None]
    shape = (num, frames, joints, 3)
    mean = torch.randn(frames, joints, 3)
    components, projection = axes.T * scale, axes.T / scale
    return nn.MotionBasis(mean, components.reshape(shape), projection.reshape(shape))


@pytest.mark.parametrize(("num", "latent"), [(5, 9), (9, 9), (9, 4)])
def test_an_untrained_vae_is_its_basis(num: int, latent: int) -> None:
    """Coefficients first, nothing in the latents left over, and back, to the bit."""
    torch.manual_seed(0)
    basis = layer_of(num)
    config = MotionVaeConfig(num_joints=2, num_frames=6, hidden=8, latent=latent, basis=True)
    vae = MotionVae(config, basis).eval()
    motion = torch.randn(3, 6, 2, 3)
    output = vae({"motion": motion})
    known = min(num, latent)
    first = basis.first(known)
    assert torch.equal(output["mu"][:, :known], first.encode(motion))
    assert not output["mu"][:, known:].any()
    assert torch.equal(output["motion"], first.decode(first.encode(motion)))
    assert output["logvar"].eq(-4.0).all()
    # Of a basis of everything, all comes back.
    if known == 9:
        inside = basis.decode(torch.randn(3, num))
        torch.testing.assert_close(vae({"motion": inside})["motion"], inside, atol=1e-4, rtol=1e-4)


def test_the_basis_is_neither_trained_nor_stored_with_the_weights() -> None:
    basis = layer_of(4)
    decoder = nn.MotionDecoder(2, 6, 8, 5, basis=basis)
    encoder = nn.MotionEncoder(2, 8, 5, basis=basis)
    for module in (encoder, decoder):
        names = {name for name, _ in module.named_parameters()} | set(module.state_dict())
        assert not any("components" in name or "mean" in name for name in names)
    assert encoder.gain.requires_grad and encoder.gain.shape == (4,)


def test_a_joint_that_is_absent_counts_as_if_it_moved_like_the_mean() -> None:
    basis, motion = layer_of(4), torch.randn(3, 6, 2, 3)
    like_mean = motion.clone()
    like_mean[:, :, 1] = basis.mean[:, 1]
    absent = motion.clone()
    absent[:, :, 1] = 0.0
    torch.testing.assert_close(basis.encode(absent), basis.encode(like_mean))


def test_a_decoder_with_a_basis_makes_shorter_windows_and_no_longer_ones() -> None:
    decoder = nn.MotionDecoder(2, 6, 8, 5, basis=layer_of(4)).eval()
    torch.nn.init.normal_(decoder.output.weight)
    latent = torch.randn(3, 5)
    torch.testing.assert_close(decoder(latent, 4), decoder(latent)[:, :4])
    with pytest.raises(AssertionError, match="of one length"):
        decoder(latent, 7)


def test_constants_are_the_buffers_that_are_not_stored() -> None:
    basis = layer_of(4)
    decoder = nn.MotionDecoder(2, 6, 8, 5, basis=basis)
    decoder.register_buffer("count", torch.zeros(()))
    constant = nn.constant_buffers(decoder)
    assert {name.rsplit(".", 1)[-1] for name in constant} == {"mean", "components", "projection"}
    assert "count" not in constant


def test_constants_are_not_sent_to_other_ranks(tmp_path: Path) -> None:
    """What `DistributedDataParallel` sends at each step, in a group of one process."""
    flow = torch.nn.Linear(2, 2)
    flow.register_buffer("set_frames", torch.ones(3), persistent=False)
    flow.register_buffer("num_updates", torch.zeros(()))
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'ranks'}", rank=0, world_size=1
    )
    try:
        kind = torch.nn.parallel.DistributedDataParallel
        kind._set_params_and_buffers_to_ignore_for_model(flow, nn.constant_buffers(flow))
        wrapped = kind(flow)
        assert set(wrapped.named_module_buffers) == {"num_updates"}
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("length", [9, 16, 21])
def test_padding_changes_no_patch_and_no_frame(length: int) -> None:
    encoder, decoder = SequenceEncoder(5, 8, 4), SequenceDecoder(5, 8, 4)
    local = torch.randn(1, 24, 5)
    local[:, length:] = 0.0
    tight, loose = -(-length // 8) * 8, 64
    lengths = torch.tensor([length])
    alone, _ = encoder(local[:, :tight], lengths)
    padded, _ = encoder(torch.nn.functional.pad(local, (0, 0, 0, loose - 24)), lengths)
    torch.testing.assert_close(padded[:, : tight // 8], alone)
    frames = decoder(alone, lengths)
    strange = torch.cat([alone, torch.randn(1, 4, 4)], dim=1)
    torch.testing.assert_close(decoder(strange, lengths)[:, :length], frames[:, :length])


def test_padding_changes_no_music_token() -> None:
    adapter = SignalAdapter(AdapterConfig(width=16, layers=1), 6, 8).eval()
    music, genre = torch.randn(1, 32, 6), torch.tensor([0])
    mask = torch.arange(32)[None] < 24
    tokens, _, frames = adapter(music[:, :24], genre, mask[:, :24])
    more_tokens, _, more_frames = adapter(music, genre, mask)
    torch.testing.assert_close(more_frames[:, :24], frames)
    torch.testing.assert_close(more_tokens[:, : tokens.shape[1]], tokens)

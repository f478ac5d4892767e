"""Lang2Motion's network: sizes of the paper, eq. 1 and 2, overlays, teacher forcing."""

from __future__ import annotations

import copy

import pytest
import torch
from small_stages import evaluate, train
from small_track_batches import B, N, T, Z, track_batch

from raydance.errors import ConfigError
from raydance.stages.track_autoencoder import TrackAutoencoder, TrackAutoencoderConfig

SMALL = {"num_points": N, "num_frames": T, "latent": Z, "layers": 1, "heads": 2}
SMALL |= {"feedforward": 32, "decoder_width": 32, "dropout": 0.0}


def small(**changes: object) -> TrackAutoencoder:
    torch.manual_seed(0)
    return TrackAutoencoder(TrackAutoencoderConfig(**{**SMALL, **changes}))  # type: ignore[arg-type]


BATCH = track_batch()
START = BATCH["tracks"][:, 0]
TEXT = BATCH["text_embedding"]


def test_the_defaults_are_the_papers_network() -> None:
    stage = TrackAutoencoder(TrackAutoencoderConfig())
    linear = [m for m in stage.decoder.layers if isinstance(m, torch.nn.Linear)]
    sizes = [(m.in_features, m.out_features) for m in linear]
    assert sizes == [(584, 1024), (1024, 1024), (1024, 72)]
    layers = stage.encoder.transformer.layers
    assert len(layers) == 4
    assert {(layer.self_attn.num_heads, layer.linear1.out_features) for layer in layers} == {
        (4, 1024)
    }
    config = stage.config
    weights = (config.velocity_weight, config.range_weight, config.text_weight)
    assert weights == (0.01, 0.1, 0.1)
    assert (config.image_weight, config.text_reconstruction_weight) == (0.1, 0.5)
    assert (config.train.lr, config.train.batch_size, config.train.epochs) == (1e-4, 32, 200)


def test_the_total_is_the_papers_sum() -> None:
    terms = evaluate(small(), BATCH)
    weights = {"reconstruction": 1, "velocity": 0.01, "range": 0.1, "text": 0.1, "image": 0.1}
    weights["text_reconstruction"] = 0.5
    assert terms["total"] == pytest.approx(sum(w * terms[k] for k, w in weights.items()), rel=1e-5)
    mean = evaluate(small(range_per_frame=True), BATCH)
    assert mean["range"] == pytest.approx(terms["range"] / T, rel=1e-5)


@torch.no_grad()
def test_eq_2_by_hand() -> None:
    stage = small().eval()
    latent = torch.nn.functional.normalize(TEXT, dim=1) * Z**0.5
    track = [START]
    for _ in range(T - 1):
        inputs = torch.cat([latent, track[-1].flatten(1)], dim=1)
        track.append(track[-1] + stage.decoder.layers(inputs).reshape(B, N, 2))
    torch.testing.assert_close(stage.decode(TEXT, START), torch.stack(track, dim=1))


@pytest.mark.parametrize("frame_index", [False, True])
@torch.no_grad()
def test_a_decoder_taught_with_its_own_track_repeats_it(frame_index: bool) -> None:
    stage = small(frame_index=frame_index).eval()
    if stage.decoder.frame_index is not None:
        torch.nn.init.normal_(stage.decoder.frame_index.weight)
    alone = stage.decode(TEXT, START)
    torch.testing.assert_close(stage.decode(TEXT, START, alone), alone, atol=1e-5, rtol=1e-5)
    other = stage.decode(TEXT, START, BATCH["tracks"])
    torch.testing.assert_close(other[:, :2], alone[:, :2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other[:, 2:], alone[:, 2:], atol=1e-3)


@torch.no_grad()
def test_scheduled_sampling_lies_between_a_teacher_and_none() -> None:
    stage = small().eval()
    forced = stage.decode(TEXT, START, BATCH["tracks"])
    torch.testing.assert_close(
        stage.decode(TEXT, START, BATCH["tracks"], forced=0.0), stage.decode(TEXT, START)
    )
    torch.manual_seed(0)
    # As good as always forced, but frame by frame.
    nearly = stage.decode(TEXT, START, BATCH["tracks"], forced=1.0 - 1e-7)
    torch.testing.assert_close(nearly, forced, atol=1e-5, rtol=1e-5)


def test_scheduled_sampling_grows_with_training() -> None:
    stage = small(scheduled_sampling=1.0).train()
    early, late = (stage(BATCH, progress)["text_tracks"] for progress in (0.0, 1.0))
    torch.testing.assert_close(early, stage.decode(TEXT, START, BATCH["tracks"]))
    torch.testing.assert_close(late, stage.decode(TEXT, START))


@torch.no_grad()
def test_the_direct_head_makes_all_frames_from_the_first() -> None:
    stage = small(decoder="direct").eval()
    found = stage.decode(TEXT, START)
    assert found.shape == (B, T, N, 2) and torch.equal(found[:, 0], START)
    torch.testing.assert_close(found, stage.decode(TEXT, START, BATCH["tracks"]))


@torch.no_grad()
def test_absent_overlays_are_as_if_none_were_given() -> None:
    stage = small().eval()
    track, feature = BATCH["tracks"], BATCH["overlay_features"]
    found = stage.encode(track, feature, BATCH["has_overlay"])
    without = stage.encode(track)
    torch.testing.assert_close(found[3], without[3])
    assert not torch.allclose(found[0], without[0], atol=1e-3)
    broken = torch.where(BATCH["has_overlay"][:, None, None], feature, torch.full_like(feature, 9))
    torch.testing.assert_close(stage.encode(track, broken, BATCH["has_overlay"]), found)


def test_half_of_the_overlays_are_left_out_in_training() -> None:
    stage = small()
    many = track_batch(400)
    many["has_overlay"][:] = True
    with torch.no_grad():
        without = stage.eval().encode(many["tracks"])
        dropped = (stage.train()(many)["latent"] - without).abs().amax(dim=1) < 1e-5
        assert 0.4 < float(dropped.float().mean()) < 0.6
        assert not bool(((stage.eval()(many)["latent"] - without).abs().amax(dim=1) < 1e-5).any())


@pytest.mark.parametrize(
    "changes",
    [{}, {"decoder": "direct"}, {"frame_index": True, "scheduled_sampling": 0.5}],
    ids=["paper", "direct", "scheduled"],
)
def test_it_learns_one_batch(changes: dict[str, object]) -> None:
    stage = small(overlay_dropout=0.0, **changes)
    before = evaluate(stage, BATCH)
    train(stage, BATCH, steps=150, lr=5e-3)
    after = evaluate(stage, BATCH)
    assert after["reconstruction"] < 0.3 * before["reconstruction"]
    assert after["rollout"] < 0.3 * before["rollout"]
    assert after["text"] < 0.05 and after["image"] < before["image"]


def test_it_reloads_identically_and_every_weight_learns() -> None:
    stage = small(frame_index=True)
    stage.loss(stage(BATCH), BATCH, 0.0)["total"].backward()
    assert all(p.grad is not None for p in stage.parameters())
    other = small(frame_index=True)
    torch.nn.init.normal_(other.encoder.prefix)
    other.load_state_dict(copy.deepcopy(stage.state_dict()))
    for name, value in stage.eval().infer(BATCH).items():
        assert torch.equal(value, other.eval().infer(BATCH)[name])
        torch.testing.assert_close(value.norm(dim=1), torch.ones(B))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="latent: 16; the CLIP has 20 values"):
        TrackAutoencoder(TrackAutoencoderConfig(**SMALL), 20)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"overlay_dropout: 2.0; allowed: 0 to 1"):
        TrackAutoencoderConfig(overlay_dropout=2.0)
    with pytest.raises(ConfigError, match="a multiple of heads"):
        TrackAutoencoderConfig(latent=10, heads=4)

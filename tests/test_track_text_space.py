"""The space of tracks and sentences: what is summed up, what is right, what is learnt."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_stages import evaluate, train
from small_track_batches import SENTENCES, B, D, N, T, Z, track_batch

from raydance.errors import ConfigError
from raydance.stages.track_text_space import (
    FRAME_VALUES,
    SUMMARY_VALUES,
    TrackTextSpace,
    TrackTextSpaceConfig,
    alike,
    frame_values,
    summary,
)

BATCH = track_batch()


def small(**changes: object) -> TrackTextSpace:
    torch.manual_seed(0)
    sizes = {"members": 1, "width": 32, "outputs": 12, "dropout": 0.1}
    config = TrackTextSpaceConfig(**{**sizes, **changes})  # type: ignore[arg-type]
    return TrackTextSpace(config, Z, token_dim=D)


def test_frame_values_by_hand() -> None:
    box = torch.tensor([[-0.5, -0.2], [0.5, -0.2], [-0.5, 0.2], [0.5, 0.2]])
    track = torch.stack([box, 2.0 * box + torch.tensor([0.1, 0.3])])[None]
    visible = torch.tensor([[[True] * 4, [True, True, False, True]]])
    first, second = frame_values(track, visible)[0]
    logs = [math.log(1.0), math.log(0.4)]
    expected = torch.tensor([0.0, 0.0, *logs, *[0.0] * 11])
    torch.testing.assert_close(first, expected, atol=1e-6, rtol=1e-6)
    grown = [10.0 * math.log(2.0)] * 2
    expected = torch.tensor(
        [0.1, 0.3, math.log(2.0), math.log(0.8), 1.0, 3.0, *grown, 0, 0, 0, 0, 1, 0, 0.25]
    )
    torch.testing.assert_close(second, expected, atol=1e-5, rtol=1e-5)


def test_the_summary_has_the_size_that_it_says() -> None:
    values = frame_values(BATCH["tracks"], BATCH["visible"])
    assert values.shape == (B, T, FRAME_VALUES)
    found = summary(values)
    assert found.shape == (B, SUMMARY_VALUES) and bool(torch.isfinite(found).all())
    torch.testing.assert_close(found[:, :FRAME_VALUES], values.mean(dim=1))
    change = found[:, FRAME_VALUES + 4 : FRAME_VALUES + 8]
    torch.testing.assert_close(change, (values[:, -1] - values[:, 0])[:, :4])


def test_a_point_alone_or_a_still_track_has_finite_values() -> None:
    track = torch.zeros(2, T, 1, 2)
    found = summary(frame_values(track, torch.zeros(2, T, 1, dtype=torch.bool)))
    assert bool(torch.isfinite(found).all())


def test_sentences_that_say_the_same_are_right_for_each_other() -> None:
    text = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.99, 0.14], [0.0, 1.0]])
    path = torch.zeros(4, 3)
    expected = torch.eye(4, dtype=torch.bool)
    expected[:3, :3] = True
    assert torch.equal(alike(text, path, 0.93), expected)
    path[1, 0] = 1.0  # "from left to right"
    found = alike(text, path, 0.93)
    assert not bool(found[0, 1]) and not bool(found[1, 2]) and bool(found[0, 2])
    assert torch.equal(alike(text, path, 1.1), torch.eye(4, dtype=torch.bool))


def test_the_loss_counts_all_right_answers() -> None:
    # Perfect points: no loss beyond the choice among four tracks of a sentence.
    stage = small(temperature=0.01)
    points = torch.eye(SENTENCES, 12)[BATCH["caption_id"]]
    terms = stage.loss({"tracks": points, "text": points}, BATCH, 1.0)
    assert float(terms["total"]) == pytest.approx(math.log(B / SENTENCES), abs=1e-4)
    assert float(terms["top1"]) == 1.0 and float(terms["top10"]) == 1.0
    turned = stage.loss({"tracks": points, "text": points.roll(1, 0)}, BATCH, 1.0)
    assert float(turned["total"]) > 20.0 and float(turned["top1"]) == 0.0


def test_pairs_of_networks_learn_apart_and_their_cosines_are_averaged() -> None:
    stage = small(members=2, outputs=6, temperature=0.01)
    one = torch.eye(SENTENCES, 6)[BATCH["caption_id"]]
    wrong = one.roll(1, 0)
    tracks = torch.cat([one, one], dim=1) / math.sqrt(2.0)
    text = torch.cat([one, wrong], dim=1) / math.sqrt(2.0)
    total = float(stage.loss({"tracks": tracks, "text": text}, BATCH, 1.0)["total"])
    alone = small(outputs=6, temperature=0.01)
    parts = [
        float(alone.loss({"tracks": one, "text": points}, BATCH, 1.0)["total"])
        for points in (one, wrong)
    ]
    assert total == pytest.approx(sum(parts) / 2.0, rel=1e-5)
    points = stage.eval().project_tracks(BATCH)
    torch.testing.assert_close(points.norm(dim=1), torch.ones(B))
    halves = points.unflatten(1, (2, 6)).norm(dim=2)
    torch.testing.assert_close(halves, torch.full((B, 2), 0.5**0.5))


@pytest.mark.parametrize("tokens", [False, True])
def test_it_learns_to_find_tracks_it_has_not_seen(tokens: bool) -> None:
    stage = small(token_features=tokens)
    train(stage, track_batch(64), steps=120, lr=5e-3)
    other = track_batch(seed=7)
    assert evaluate(stage, other)["top1"] == 1.0
    assert stage.columns_read(stage.config)[-1] == ("text_mask" if tokens else "text_path")
    for points in (stage.project_tracks(other), stage.project_text(other)):
        torch.testing.assert_close(points.norm(dim=1), torch.ones(B))


@torch.no_grad()
def test_padded_tokens_do_not_count() -> None:
    stage = small(token_features=True).eval()
    found = stage.project_text(BATCH)
    changed = {**BATCH, "text_tokens": BATCH["text_tokens"].clone()}
    changed["text_tokens"][0, 3:] = 50.0
    torch.testing.assert_close(stage.project_text(changed), found)
    changed["text_tokens"][0, 2] = 50.0
    assert not torch.allclose(stage.project_text(changed)[0], found[0], atol=1e-3)


@torch.no_grad()
def test_training_changes_tracks_a_little() -> None:
    stage = small()
    torch.manual_seed(1)
    changed, visible = stage._changed(BATCH["tracks"], BATCH["visible"])
    assert changed.shape == (B, T, N, 2) and visible.dtype == torch.bool
    assert 0.005 < float((changed - BATCH["tracks"]).abs().mean()) < 0.1
    still = small(crop=0.0, scale_jitter=0.0, shift_jitter=0.0)
    same, seen = still._changed(BATCH["tracks"], BATCH["visible"])
    torch.testing.assert_close(same, BATCH["tracks"], atol=1e-6, rtol=1e-6)
    assert torch.equal(seen[:, :-1], BATCH["visible"][:, :-1])


def test_cropping_keeps_to_the_tracks_time() -> None:
    stage = small(crop=0.4, scale_jitter=0.0, shift_jitter=0.0)
    clock = torch.arange(float(T))[None, :, None, None].expand(200, -1, N, 2)
    torch.manual_seed(0)
    changed, _ = stage._changed(clock, torch.ones(200, T, N, dtype=torch.bool))
    begin, end = changed[:, 0, 0, 0], changed[:, -1, 0, 0]
    assert float(begin.min()) == 0.0 and 0.3 * (T - 1) < float(begin.max()) <= 0.4 * (T - 1)
    assert float(end.max()) == T - 1 and 0.6 * (T - 1) <= float(end.min())
    steps = changed.diff(dim=1)[:, :, 0, 0]
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps), atol=1e-5, rtol=1e-4)


def test_it_reloads_identically_and_every_weight_learns() -> None:
    stage = small(token_features=True).train()
    stage.loss(stage(BATCH), BATCH, 0.0)["total"].backward()
    assert not [name for name, p in stage.named_parameters() if p.grad is None]
    other = small(token_features=True)
    other.load_state_dict(copy.deepcopy(stage.state_dict()))
    for one in (stage, other):
        one.eval()
    assert torch.equal(stage.infer(BATCH)["track_embedding"], other.infer(BATCH)["track_embedding"])
    name = "track_text_projection"
    assert torch.equal(stage.infer_captions(BATCH)[name], other.infer_captions(BATCH)[name])


def test_a_collapsed_space_is_told_of_and_bad_settings_refused() -> None:
    (told,) = small().warnings({"track_spread": 0.1, "text_spread": 0.0})
    assert "text points hardly differ" in told
    with pytest.raises(ConfigError, match="track_text_space.crop: 0.5"):
        TrackTextSpaceConfig(crop=0.5)
    with pytest.raises(ConfigError, match="temperature: 0.0; above 0"):
        TrackTextSpaceConfig(temperature=0.0)

"""What the presets of Dance-Language choose: the paper's ways stay the paper's."""

from __future__ import annotations

import pytest

from raydance.errors import ConfigError
from raydance.stages.base import TrainConfig
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.lang2motion import system as lang2motion


def test_the_paper_preset_knows_neither_basis_nor_flow() -> None:
    config = SYSTEM.resolve("paper")
    vae = config.motion_vae
    assert not vae.basis and (vae.encoder, vae.decoder) == ("lstm", "gru")
    assert (vae.hidden, vae.latent, vae.train.epochs, vae.train.lr) == (384, 256, 1000, 5e-4)
    assert (vae.beta_start, vae.beta_end) == (0.01, 0.2)
    assert (config.clusters.space, config.clusters.num_clusters) == ("latent", 3)
    contrastive = config.contrastive
    assert (contrastive.loss, contrastive.margin, contrastive.distance) == (
        "triplet",
        1.0,
        "euclidean",
    )
    assert contrastive.motion_input == contrastive.text_input == "latent"
    assert contrastive.train.optimizer == "sgd" and contrastive.train.epochs == 250
    text = config.motion_to_text
    assert (text.ranking, text.motion_input, text.margin) == ("sentences", "latent", 0.2)
    motion = config.text_to_motion
    assert (motion.source, motion.fusion, motion.decoder_start) == ("prior", "linear", "vae")
    assert config.text_encoder.final_relu and not config.text.side_features
    assert not config.motion_flow.enabled and "motion_flow" not in SYSTEM.steps_of(config)


@pytest.mark.parametrize("preset", ["default", "quick"])
def test_other_presets_start_from_the_basis_and_generate_by_the_flow(preset: str) -> None:
    config = SYSTEM.resolve(preset)
    assert config.motion_vae.basis and config.motion_flow.enabled
    assert config.text_to_motion.source == "flow"
    assert config.contrastive.motion_input == "both"
    assert config.motion_to_text.ranking == "shared"
    assert config.clusters.space == "descriptors"
    assert SYSTEM.steps_of(config) == SYSTEM.step_names[:-1]  # all but the caption writer


def test_a_source_that_is_switched_off_is_refused() -> None:
    with pytest.raises(ConfigError, match="source=flow needs motion_flow.enabled=true"):
        SYSTEM.resolve("quick", ["motion_flow.enabled=false"])
    config = SYSTEM.resolve("quick", ["motion_flow.enabled=false", "text_to_motion.source=nearest"])
    assert "motion_flow" not in SYSTEM.steps_of(config)


def test_the_mean_of_sentences_can_be_switched_off() -> None:
    config = SYSTEM.resolve("quick", ["motion_flow.sentence_mean=false"])
    steps = SYSTEM.steps_of(config)
    assert "sentence_mean" not in steps and "motion_flow" in steps


def test_a_step_comes_after_those_it_builds_on() -> None:
    for number, step in enumerate(SYSTEM.steps):
        assert set(step.needs) <= set(SYSTEM.step_names[:number]), step.name


def test_small_data_sets_are_trained_as_many_steps_as_they_need() -> None:
    train = TrainConfig(epochs=10, min_steps=100, batch_size=8)
    assert train.epochs_of(80) == 10 and train.epochs_of(800) == 10
    assert train.epochs_of(16) == 50 and train.epochs_of(3) == 100
    assert train.epochs_of(12) == 50  # the last batch of an epoch is not full
    config = lang2motion.SYSTEM.resolve("default")
    assert config.track_flow.train.min_steps > 0
    # Who says how many epochs gets them.
    for change in (
        "track_flow.train.epochs=3",
        "track_flow.train={epochs: 3}",
        "track_flow={train: {epochs: 3, patience: 0}}",
    ):
        few = lang2motion.SYSTEM.resolve("default", [change])
        assert few.track_flow.train.epochs_of(128) == 3
        assert few.track_path.train.min_steps == config.track_path.train.min_steps
    assert lang2motion.SYSTEM.resolve("quick").track_flow.train.min_steps == 0
    both = ["track_flow.train.epochs=3", "track_flow.train.min_steps=7"]
    for changes in (both, both[::-1], ["track_flow.train={epochs: 3, min_steps: 7}"]):
        assert lang2motion.SYSTEM.resolve("default", changes).track_flow.train.epochs_of(128) == 7

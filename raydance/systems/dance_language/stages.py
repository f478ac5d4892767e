"""The stages of a Dance-Language run: how each network is built, and the batches that it reads."""

from __future__ import annotations

import copy
from typing import Final

import torch

from raydance.data.chunks import BatchSpec, StoredColumn
from raydance.data.schema import CAPTION_IDS, Column
from raydance.motion.augment import Augment
from raydance.motion.rows import MotionRows
from raydance.nn import blocks as nn
from raydance.nn.sentence_mean import SentenceMean
from raydance.stages.base import Stage
from raydance.stages.caption_writer import CaptionWriter
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_flow import MotionFlow
from raydance.stages.motion_to_text import MotionToText
from raydance.stages.motion_vae import MotionVae, build_decoder, build_encoder
from raydance.stages.text_encoder import TextEncoder
from raydance.stages.text_to_motion import TextToMotion
from raydance.systems.base import load_stage
from raydance.systems.dance_language.basis_step import COEFFICIENTS, basis_of
from raydance.systems.dance_language.cluster_step import CLUSTER
from raydance.systems.dance_language.config import config_of
from raydance.systems.dance_language.statistics_step import statistics_of
from raydance.systems.dance_language.writer_step import build_writer
from raydance.training.batches import seed_for
from raydance.training.run_folder import Run, load_bundle


def build_stage(run: Run, name: str) -> Stage:
    """An untrained stage; those that start from an earlier one hold its weights already."""
    if name == "caption_writer":
        return build_writer(run)
    config = config_of(run)
    latent = config.motion_vae.latent
    if name == "motion_vae":
        return MotionVae(config.motion_vae, _vae_basis(run))
    text_dim = load_bundle(run.bundle("captions"))[1]["text_dim"]
    if name == "text_encoder":
        return TextEncoder(config.text_encoder, text_dim)
    if name == "contrastive":
        encoder = None
        if config.contrastive.motion_input == "windows":
            encoder = build_encoder(config.motion_vae, _vae_basis(run))
            encoder.load_state_dict(_vae(run).encoder.state_dict())
        joints = config.motion_vae.num_joints
        return Contrastive(
            config.contrastive, latent, text_dim, encoder, network_basis(run), joints
        )
    if name == "motion_to_text":
        reads_latent = config.motion_to_text.motion_input == "latent"
        inputs = latent if reads_latent else config.contrastive.outputs
        return MotionToText(config.motion_to_text, inputs, text_dim)
    if name == "motion_flow":
        basis = basis_of(run)
        components, scale = torch.from_numpy(basis.components), torch.from_numpy(basis.scale)
        # Runs made before this step have none.
        has_mean = config.motion_flow.sentence_mean and "sentence_mean" in run.facts["steps"]
        mean = SentenceMean.of(load_bundle(run.bundle("sentence_mean"))[0]) if has_mean else None
        return MotionFlow(config.motion_flow, components, scale, text_dim, mean)
    assert name == "text_to_motion", name
    vae = _vae(run)
    if config.text_to_motion.decoder_start == "scratch":
        decoder = build_decoder(config.motion_vae, _vae_basis(run))
    else:  # a loaded stage is frozen; the transplanted decoder must learn on
        decoder = copy.deepcopy(vae.decoder).requires_grad_(True)
    return TextToMotion(config.text_to_motion, latent, vae.encoder, decoder)


def network_basis(run: Run) -> nn.MotionBasis:
    """The run's motion basis as a fixed layer."""
    basis = basis_of(run)
    arrays = (basis.mean, basis.components, basis.projection)
    return nn.MotionBasis(*(torch.from_numpy(array) for array in arrays))


def _vae_basis(run: Run) -> nn.MotionBasis | None:
    return network_basis(run) if config_of(run).motion_vae.basis else None


def _vae(run: Run) -> MotionVae:
    stage = load_stage(run, "motion_vae", build_stage)
    assert isinstance(stage, MotionVae)
    return stage


STAGES: Final[dict[str, type[Stage]]] = {
    stage.name: stage
    for stage in (
        MotionVae,
        TextEncoder,
        Contrastive,
        MotionToText,
        MotionFlow,
        TextToMotion,
        CaptionWriter,
    )
}
"""Every stage that learns by gradient descent."""

_ROW_COLUMNS: Final[tuple[tuple[str, Column], ...]] = (
    ("motion_basis", COEFFICIENTS),
    ("motion_vae", MotionVae.adds[0]),
    ("clusters", CLUSTER),
    ("contrastive", Contrastive.adds[0]),
)
"""Columns that stages read, and the step that adds each to the rows."""

_CAPTION_BUNDLES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("captions", ("caption_id", "text_embedding", "difficulty")),
    ("text_encoder_captions", TextEncoder.added_names("text")),
    ("contrastive_captions", Contrastive.added_names("text")),
    ("caption_writer_captions", ("caption_tokens",)),
)
"""Bundles of the caption table, and the columns that each holds."""


def batch_spec(run: Run, name: str) -> BatchSpec:
    """How batches for a stage are read: which columns, from where, with which noise."""
    config = config_of(run)
    own = getattr(config, name)
    reads = STAGES[name].columns_read(own)
    columns = {
        column.name: StoredColumn(column=column, folder=str(run.columns(step)))
        for step, column in _ROW_COLUMNS
        if column.name in reads or (column is CLUSTER and own.train.balanced)
    }
    bundles = [bundle for bundle, names in _CAPTION_BUNDLES if set(names) & set(reads)]
    if bundles:
        folder = str(run.columns("captions"))
        columns[CAPTION_IDS.name] = StoredColumn(column=CAPTION_IDS, folder=folder)
        bundles = list(dict.fromkeys(["captions", *bundles]))
    return BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=reads,
        transform=MotionRows(
            statistics=statistics_of(run),
            representation=config.representation,
            augment=config.augment if own.train.augment else Augment(enabled=False),
        ),
        columns=columns,
        captions=tuple(str(run.bundle(bundle)) for bundle in bundles),
        seed=seed_for(config.seed, name),
        batch_size=own.train.batch_size,
        balanced=own.train.balanced,
    )

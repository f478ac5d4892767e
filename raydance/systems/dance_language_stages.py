"""The stages of a Dance-Language run: how each network is built, and the batches that it reads."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from raydance import nn
from raydance.artifacts import Run, load_bundle
from raydance.batches import seed_for
from raydance.chunks import BatchSpec
from raydance.motion.augment import Augment
from raydance.stages.base import Stage
from raydance.stages.contrastive import Contrastive
from raydance.stages.motion_flow import MotionFlow
from raydance.stages.motion_to_text import MotionToText
from raydance.stages.motion_vae import MotionVae, build_decoder, build_encoder
from raydance.stages.text_encoder import TextEncoder
from raydance.stages.text_to_motion import TextToMotion
from raydance.systems.base import load_stage
from raydance.systems.basis_step import basis_of
from raydance.systems.dance_language_config import config_of
from raydance.systems.statistics_step import statistics_of
from raydance.systems.writer_step import build_writer


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
        return MotionFlow(config.motion_flow, components, scale, text_dim)
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


def batch_spec(run: Run, stage: Stage) -> BatchSpec:
    """How batches for a stage are read: which columns, from where, with which noise."""
    config = config_of(run)
    reads = stage.columns_read()
    train = stage.config.train
    columns = {
        name: str(run.columns(step))
        for name, step in (
            ("coefficients", "motion_basis"),
            ("latent", "motion_vae"),
            ("cluster", "clusters"),
            ("motion_embedding", "contrastive"),
        )
        if name in reads or (name == "cluster" and train.balanced)
    }
    captions: tuple[str, ...] = ()
    spec = BatchSpec(
        dataset=run.facts["dataset"]["path"],
        reads=reads,
        augment=config.augment if train.augment else Augment(enabled=False),
        representation=config.representation,
        statistics=statistics_of(run),
        seed=seed_for(config.seed, stage.name),
        batch_size=train.batch_size,
        balanced=train.balanced,
    )
    if spec.wants_captions:
        columns["caption_ids"] = str(run.columns("captions"))
        captions = (str(run.bundle("captions")),)
        if "text_latent" in reads:
            captions += (str(run.bundle("text_encoder_captions")),)
        if "caption_tokens" in reads:
            captions += (str(run.bundle("caption_writer_captions")),)
    return replace(spec, columns=columns, captions=captions)

"""Every trained stage built small, a batch for all of them, and a plain loop that trains one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from raydance.motion.basis import Basis, fit_basis
from raydance.nn import blocks as nn
from raydance.nn.conditioning import AdapterConfig, ConditioningConfig
from raydance.stages.base import Stage
from raydance.stages.caption_writer import CaptionWriter, CaptionWriterConfig
from raydance.stages.contrastive import Contrastive, ContrastiveConfig
from raydance.stages.motion_flow import MotionFlow, MotionFlowConfig
from raydance.stages.motion_prior import MotionPrior, MotionPriorConfig
from raydance.stages.motion_to_text import MotionToText, MotionToTextConfig
from raydance.stages.motion_vae import MotionVae, MotionVaeConfig, build_decoder, build_encoder
from raydance.stages.sequence_flow import SequenceFlow, SequenceFlowConfig
from raydance.stages.sequence_regression import SequenceRegression, SequenceRegressionConfig
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig
from raydance.stages.text_motion_evaluator import (
    TextMotionEvaluator,
    TextMotionEvaluatorConfig,
)
from raydance.stages.text_to_motion import TextToMotion, TextToMotionConfig
from raydance.text.language_model import IGNORED, small_language

B, T, J, H, Z, D, K = 16, 8, 4, 32, 12, 20, 3
CAPTIONS, CLUSTERS = 4, 2
VAE = MotionVaeConfig(num_joints=J, num_frames=T, hidden=H, latent=Z)
VAE_BASIS = replace(VAE, basis=True, beta_start=0.0, beta_end=0.002)


@dataclass(frozen=True)
class Case:
    """A stage, how to build it small, and how far it must come on one batch.

    `floor` is the least value of its loss: with n right pairs in each row InfoNCE's is log n.
    """

    name: str
    build: Callable[[], Stage]
    steps: int = 80
    lr: float = 5e-3
    falls_to: float = 0.3
    floor: float = 0.0


def small_basis(num: int = K) -> Basis:
    """Three components tell the motions of all captions apart, and rebuild them but for noise."""
    batch = toy_batch(64)
    weight = np.ones((J, 3), dtype=np.float32)
    return fit_basis(batch["motion"].numpy(), batch["joint_mask"].numpy(), weight, num)


def basis_layer(basis: Basis | None = None) -> nn.MotionBasis:
    found = basis or small_basis()
    arrays = (found.mean, found.components, found.projection)
    return nn.MotionBasis(*(torch.from_numpy(array) for array in arrays))


def _basis_for(vae: MotionVaeConfig) -> nn.MotionBasis | None:
    return basis_layer() if vae.basis else None


def contrastive(vae: MotionVaeConfig = VAE, **changes: object) -> Contrastive:
    config = ContrastiveConfig(width=H, outputs=Z, channels=H, **changes)  # type: ignore[arg-type]
    return Contrastive(config, Z, D, build_encoder(vae, _basis_for(vae)), basis_layer(), J)


def text_to_motion(vae: MotionVaeConfig = VAE, **changes: object) -> TextToMotion:
    config = TextToMotionConfig(**changes)  # type: ignore[arg-type]
    encoder, decoder = (build(vae, _basis_for(vae)) for build in (build_encoder, build_decoder))
    return TextToMotion(config, Z, encoder, decoder)


def motion_flow(**changes: object) -> MotionFlow:
    config = MotionFlowConfig(noise_scale=1.0, width=H, num_blocks=2, **changes)  # type: ignore[arg-type]
    basis = small_basis()
    arrays = (basis.components, basis.scale)
    return MotionFlow(config, *(torch.from_numpy(array) for array in arrays), D)


def motion_to_text(**changes: object) -> MotionToText:
    config = MotionToTextConfig(hidden=H, **changes)  # type: ignore[arg-type]
    return MotionToText(config, Z, D)


def caption_writer(**changes: object) -> CaptionWriter:
    config = CaptionWriterConfig(width=H, layers=1, states=2, **changes)  # type: ignore[arg-type]
    language = small_language(["a b"], vocabulary=300, width=H, layers=1, dropout=0.1)
    return CaptionWriter(config, Z, language)


SEQUENCE_FRAMES, VALUES, TOKENS, FEATURES = 40, 9, 5, 6
_SMALL_INPUT = AdapterConfig(
    width=16, layers=1, latents=4, latent_width=16, self_layers=1, cross_layers=1, dropout=0.0
)
CONDITIONING = ConditioningConfig(text=_SMALL_INPUT, music=_SMALL_INPUT)


def sequence_flow(**changes: object) -> SequenceFlow:
    config = SequenceFlowConfig(width=H, num_blocks=1, dropout=0.0, conditioning=CONDITIONING)
    config = replace(config, **changes)  # type: ignore[arg-type]
    codes = {"basis": K, "mp_vae": 2 * Z, "both": K + 2 * Z}[config.prior]
    return SequenceFlow(config, torch.ones(2, codes), D, {"music": FEATURES})


def motion_prior(**changes: object) -> MotionPrior:
    return MotionPrior(MotionPriorConfig(width=H, latent=Z, **changes), VALUES)  # type: ignore[arg-type]


def sequence_regression(**changes: object) -> SequenceRegression:
    config = SequenceRegressionConfig(
        width=H, layers=1, before=8, dropout=0.0, conditioning=CONDITIONING
    )
    config = replace(config, **changes)  # type: ignore[arg-type]
    decoder = motion_prior().decoder
    return SequenceRegression(config, VALUES, Z, decoder, 8, D, {"music": FEATURES})


def text_motion_evaluator() -> TextMotionEvaluator:
    config = TextMotionEvaluatorConfig(channels=16, width=H, outputs=Z, dropout=0.0)
    return TextMotionEvaluator(config, VALUES, D)


PAPER_CONTRAST = {"loss": "triplet", "motion_input": "latent", "text_input": "latent"}

CASES = (
    Case("motion_vae", lambda: MotionVae(VAE), steps=120, lr=1e-2, falls_to=0.4),
    Case(
        "motion_vae_conv2d",
        lambda: MotionVae(MotionVaeConfig(**{**vars(VAE), "encoder": "conv2d"})),
        steps=120,
        lr=1e-2,
        falls_to=0.4,
    ),
    Case(
        "motion_vae_basis",
        lambda: MotionVae(VAE_BASIS, basis_layer(small_basis(1))),  # what is left is to learn
        steps=120,
        lr=1e-2,
        falls_to=0.45,
    ),
    Case(
        "text_encoder",
        lambda: TextEncoder(TextEncoderConfig(hidden=H, latent=Z, final_relu=False), D),
    ),
    Case("contrastive", contrastive, falls_to=0.05, floor=math.log(B / CAPTIONS)),
    *(
        Case(
            f"contrastive_{kind}",
            lambda kind=kind: contrastive(VAE_BASIS, motion_input=kind),  # type: ignore[misc]
            falls_to=0.05,
            floor=math.log(B / CAPTIONS),
        )
        for kind in ("windows", "frames", "basis")
    ),
    Case(
        "contrastive_supcon",
        lambda: contrastive(loss="supcon"),
        falls_to=0.05,
        floor=math.log(B / CLUSTERS),
    ),
    Case("contrastive_paper", lambda: contrastive(**PAPER_CONTRAST), falls_to=0.05),
    Case(
        "contrastive_soft_cross_modal",
        lambda: contrastive(**PAPER_CONTRAST, tau=0.5, cross_modal_only=True, distance="cosine"),
        falls_to=0.2,
    ),
    Case(
        "contrastive_dot",
        lambda: contrastive(**PAPER_CONTRAST, distance="dot", text_head="linear"),
        falls_to=0.05,
    ),
    Case(
        "contrastive_simclr",
        lambda: contrastive(loss="simclr"),
        falls_to=0.05,
        floor=math.log(B / CAPTIONS),
    ),
    Case(
        "contrastive_moco",
        lambda: contrastive(loss="moco", queue=2 * B),
        falls_to=0.05,
        floor=math.log(B / CAPTIONS),
    ),
    Case("motion_to_text", motion_to_text, falls_to=0.1),
    Case(
        "motion_to_text_paper",
        lambda: motion_to_text(motion_input="latent", negatives="cluster"),
        falls_to=0.1,
    ),
    Case("motion_flow", motion_flow),
    Case("motion_flow_noisy", lambda: motion_flow(text_noise=0.1, frames_dropout=0.0)),
    Case("text_to_motion", text_to_motion, steps=150),
    Case(
        "text_to_motion_residual",
        lambda: text_to_motion(VAE_BASIS, fusion="residual"),
        steps=150,
    ),
    Case("text_to_motion_gelu", lambda: text_to_motion(gelu=True), steps=150),
    Case("caption_writer", caption_writer, falls_to=0.1),
    Case("caption_writer_of_latents", lambda: caption_writer(motion_input="latent"), falls_to=0.1),
    Case("motion_prior", motion_prior, steps=60, falls_to=0.5),
    Case("sequence_flow", sequence_flow, falls_to=0.5),
    Case("sequence_flow_pooled", lambda: sequence_flow(told_by="pooled"), falls_to=0.5),
    Case("sequence_flow_of_both", lambda: sequence_flow(prior="both"), falls_to=0.6),
    Case("sequence_regression", sequence_regression, falls_to=0.5),
    Case(
        "sequence_regression_without_prior",
        lambda: sequence_regression(use_prior=False),
        falls_to=0.5,
    ),
    Case(
        "text_motion_evaluator",
        text_motion_evaluator,
        falls_to=0.1,
        floor=math.log(2 / 3 * B / CAPTIONS),  # a third of the clips has no caption
    ),
    Case("text_to_motion_scratch", lambda: text_to_motion(decoder_start="scratch"), steps=150),
)


def toy_batch(size: int = B, seed: int = 0) -> dict[str, Tensor]:
    """A batch in which the caption determines the motion, up to noise."""
    generator = torch.Generator().manual_seed(seed)
    of_captions = torch.Generator().manual_seed(99)
    caption = torch.arange(size) % CAPTIONS
    time = torch.linspace(0, 2 * math.pi, T)[None, :, None, None]
    phase = 3.0 * torch.rand(CAPTIONS, 1, J, 3, generator=of_captions)
    noise = 0.05 * torch.randn(size, T, J, 3, generator=generator)
    text = torch.randn(CAPTIONS, D, generator=of_captions)
    latent = torch.randn(CAPTIONS, Z, generator=of_captions)
    coefficients = torch.randn(CAPTIONS, K, generator=of_captions)
    tokens = torch.randint(3, 40, (CAPTIONS, 6), generator=of_captions)
    tokens[:, -1], tokens[0, 4:] = 1, torch.tensor([1, IGNORED])
    mask = torch.ones(size, J, dtype=torch.bool)
    mask[0, 1] = False
    motion = torch.sin((1 + caption)[:, None, None, None] * time + phase[caption]) + noise
    return _sequences(caption, text, generator) | {
        "motion": torch.where(mask[:, None, :, None], motion, 0.0),
        "joint_mask": mask,
        "latent": latent[caption] + 0.1 * torch.randn(size, Z, generator=generator),
        "motion_embedding": latent[caption] + 0.1 * torch.randn(size, Z, generator=generator),
        "coefficients": coefficients[caption] + 0.1 * torch.randn(size, K, generator=generator),
        "caption_id": caption,
        "cluster": caption % CLUSTERS,
        "difficulty": caption / (CAPTIONS - 1),
        "text_embedding": text[caption],
        "caption_tokens": tokens[caption],
        "text_latent": latent[caption],
    }


def _sequences(caption: Tensor, text: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Columns of clips of different lengths, a third of them with music alone."""
    size = len(caption)
    of_captions = torch.Generator().manual_seed(98)
    time = torch.arange(SEQUENCE_FRAMES)[None, :, None] / 8.0
    phase = 3.0 * torch.rand(CAPTIONS, 1, VALUES, generator=of_captions)
    codes = torch.randn(CAPTIONS, 3, K, generator=of_captions)
    prior = torch.randn(CAPTIONS, 3, 2 * Z, generator=of_captions)
    sound = torch.randn(CAPTIONS, 1, FEATURES, generator=of_captions)
    has_music = torch.arange(size) // CAPTIONS % 3 == 2
    tokens = torch.randn(size, TOKENS, D, generator=generator) * 0.1
    tokens[:, 0] = text[caption]
    return {
        "local": torch.sin((1 + caption)[:, None, None] * time + phase[caption]),
        "length": 24 + 8 * (torch.arange(size) % 3),
        "patch_codes": codes[caption] + 0.05 * torch.randn(size, 3, K, generator=generator),
        "prior_codes": prior[caption],
        "music": sound[caption].expand(-1, SEQUENCE_FRAMES, -1).clone(),
        "genre": torch.where(has_music, caption, -1),
        "has_music": has_music,
        "has_text": ~has_music,
        "text_tokens": tokens,
        "text_mask": torch.arange(TOKENS) < 2 + (torch.arange(size) % 3)[:, None],
    }


def built(case: Case, seed: int = 0) -> Stage:
    torch.manual_seed(seed)
    return case.build()


def train(
    stage: Stage,
    batch: dict[str, Tensor],
    steps: int,
    lr: float,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Train on one batch for some steps, or less if `until` holds, asked after every tenth."""
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad], lr)
    for step in range(steps):
        stage.train()
        progress = step / (steps - 1)
        optimizer.zero_grad()
        stage.loss(stage(batch, progress), batch, progress)["total"].backward()
        optimizer.step()
        if step % 10 == 9 and until():
            break


def evaluate(stage: Stage, batch: dict[str, Tensor]) -> dict[str, float]:
    stage.eval()
    with torch.no_grad():
        terms = stage.loss(stage(batch), batch, 1.0)
    return {name: float(value) for name, value in terms.items()}

"""Tracks of a few points for tests of the stages that read them."""

from __future__ import annotations

import torch
from torch import Tensor

from raydance.stages.track_flow import TrackFlow, TrackFlowConfig
from raydance.tracks.basis import TrackBasis, fit_track_basis

B, T, N, D, Z = 16, 6, 4, 8, 16
SENTENCES = 4


def track_batch(size: int = B, seed: int = 0) -> dict[str, Tensor]:
    """A batch in which the sentence determines the movement, from a place of chance."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.Generator().manual_seed(99)
    sentence = torch.arange(size) % SENTENCES
    corner = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    centre = 0.5 * torch.rand(size, 1, 2, generator=generator) - 0.25
    extent = 0.1 + 0.1 * torch.rand(size, 1, 1, generator=generator)
    start = centre + extent * corner
    direction = torch.tensor([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])[sentence]
    time = torch.linspace(0.0, 1.0, T)
    moved = direction[:, None, :] * time[None, :, None]
    noise = 0.01 * torch.randn(size, T, N, 2, generator=generator)
    noise[:, 0] = 0.0
    text = torch.randn(SENTENCES, Z, generator=shared)
    path = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    tokens = torch.randn(SENTENCES, 5, D, generator=shared)
    mask = torch.ones(size, 5, dtype=torch.bool)
    mask[0, 3:] = False
    visible = torch.ones(size, T, N, dtype=torch.bool)
    visible[1, 2] = False
    overlay = text[sentence][:, None].expand(-1, T, -1)  # a CLIP that understands overlays well
    has_overlay = torch.ones(size, dtype=torch.bool)
    has_overlay[3] = False
    return {
        "tracks": start[:, None] + moved[:, :, None] + noise,
        "visible": visible,
        "text_embedding": text[sentence],
        "text_path": path[sentence],
        "text_tokens": tokens[sentence],
        "text_mask": mask,
        "overlay_features": overlay + 0.1 * torch.randn(size, T, Z, generator=generator),
        "has_overlay": has_overlay,
        "caption_id": sentence,
    }


def track_basis(num: int = 4) -> TrackBasis:
    return fit_track_basis(track_batch(64)["tracks"].numpy(), num)


def track_flow(**changes: object) -> TrackFlow:
    torch.manual_seed(0)
    sizes = {"width": 32, "num_blocks": 2, "dropout": 0.0}
    config = TrackFlowConfig(**{**sizes, **changes})  # type: ignore[arg-type]
    basis = track_basis()
    arrays = (basis.mean, basis.components, basis.scale)
    return TrackFlow(config, *(torch.from_numpy(array) for array in arrays), Z, token_dim=D)

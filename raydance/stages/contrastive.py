"""Contrastive projection (Dance-Language, section II.E, eq. 13-14): one space for both modalities.

The paper trains two heads on frozen latents with a hardest-pair triplet over clusters. On real
captioned clips that does not learn (1 % top-1 of 70 captions), while InfoNCE over convolutions of
the frames reaches 98 %. So the default is InfoNCE over convolutions and the coefficients of the
motion basis, and the paper's method is the preset `paper` (`loss=triplet motion_input=latent
text_input=latent`).

The paper leaves a comparison with CLIP, SimCLR and MoCo to future work. CLIP's loss is `infonce`
(captions that are the same word for word are right for each other); the others are switches.

Dimensions: B clips, T frames, J joints, Z latent, D sentence embedding, N = 2B anchors, K queue.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from raydance.data.schema import Column
from raydance.errors import ConfigError
from raydance.nn import blocks as nn
from raydance.nn import losses
from raydance.stages.base import Batch, Stage, TrainConfig


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """What is aligned, and how.

    Attributes:
        loss: `infonce` (right pairs share a caption), `triplet` (eq. 14 over clusters), `supcon`
            (InfoNCE whose right pairs share a cluster), `simclr` (motions push each other apart
            too, and so do captions) or `moco` (wrong pairs also come from earlier batches).
        motion_input: `frames` trains convolutions over frames, `basis` a network over the motion
            basis's coefficients, `both` these side by side; `windows` trains the motion VAE's
            encoder on, and `latent` keeps it frozen (paper).
        channels: of the convolutions.
        text_input: `embedding` reads the sentence encoder's output; `latent` reads eq. 11's.
        text_head: `mlp` has the structure of the motion head (eq. 13); `linear` is one layer, for
            the ablation of the paper's symmetry.
        temperature: of the softmax over cosine similarities.
        alike_captions: pairs whose captions have a cosine above this value are not used as
            negatives.
        margin: of eq. 14.
        tau: 0 uses the hardest pair (eq. 14); above 0, all pairs weighted by a softmax.
        cross_modal_only: whether candidates are of the other modality only; the paper leaves this
            open, and the default takes both.
        distance: of the triplet, `euclidean` (paper), `cosine` or `dot` (the negative product,
            which the paper says is worse).
        queue: earlier clips that `moco` keeps.
        key_momentum: share of `moco`'s key networks that stays at each step.
    """

    width: int = 256
    outputs: int = 256
    loss: Literal["infonce", "triplet", "supcon", "simclr", "moco"] = "infonce"
    motion_input: Literal["both", "frames", "basis", "windows", "latent"] = "both"
    channels: int = 128
    text_input: Literal["embedding", "latent"] = "embedding"
    text_head: Literal["mlp", "linear"] = "mlp"
    temperature: float = 0.07
    alike_captions: float = 0.95
    margin: float = 1.0
    tau: float = 0.0
    cross_modal_only: bool = False
    distance: Literal["euclidean", "cosine", "dot"] = "euclidean"
    queue: int = 1024
    key_momentum: float = 0.99
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60, lr=1e-3, schedule="onecycle", clip_norm=1.0, patience=15, batch_size=128
        )
    )

    def __post_init__(self) -> None:
        if self.queue < 1:
            raise ConfigError(f"queue: {self.queue}; at least 1")
        if not 0.0 <= self.key_momentum < 1.0:
            raise ConfigError(f"key_momentum: {self.key_momentum}; from 0 up to but without 1")


class Contrastive(Stage):
    """Two projection heads, and a motion encoder of its own unless it reads latents.

    Args:
        encoder: the start of the motion encoder (the VAE's); required for `motion_input=windows`.
        basis: the motion basis; required for `basis` and `both`.
        num_joints: of the frames that convolutions read.
    """

    name: ClassVar[str] = "contrastive"
    reads: ClassVar[tuple[str, ...]] = ("motion", "caption_id", "text_embedding")
    adds: ClassVar[tuple[Column, ...]] = (
        Column(
            name="motion_embedding",
            dtype="float32",
            dims=("Z",),
            meaning="point in the shared space",
            is_mirrored=True,
        ),
        Column(
            name="text_projection",
            dtype="float32",
            dims=("Z",),
            meaning="point in the shared space",
            key="text",
        ),
    )

    def __init__(
        self,
        config: ContrastiveConfig,
        latent: int,
        text_dim: int,
        encoder: torch.nn.Module | None = None,
        basis: nn.MotionBasis | None = None,
        num_joints: int = 50,
    ) -> None:
        super().__init__()
        self.config = config
        kind = config.motion_input
        motion_inputs = latent
        if kind == "windows":
            assert encoder is not None, "reading windows needs a motion encoder to start from"
            # The log-variance is not used here: a parameter without a gradient would stall DDP.
            encoder.logvar = torch.nn.Identity()
        self.encoder = encoder if kind == "windows" else None
        self.frames: nn.FrameEncoder | None = None
        if kind in ("both", "frames"):
            self.frames = nn.FrameEncoder(num_joints, config.channels, config.width)
        self.basis = self.components = None
        if kind in ("both", "basis"):
            assert basis is not None, "reading coefficients needs the motion basis"
            self.basis = basis
            self.components = nn.coefficient_encoder(basis.num_components, config.width)
        if kind not in ("windows", "latent"):
            motion_inputs = config.width * (2 if kind == "both" else 1)
        text_inputs = latent if config.text_input == "latent" else text_dim
        self.motion_head = nn.projection_head(motion_inputs, config.width, config.outputs)
        self.text_head: torch.nn.Module
        if config.text_head == "mlp":
            self.text_head = nn.projection_head(text_inputs, config.width, config.outputs)
        else:
            self.text_head = torch.nn.Linear(text_inputs, config.outputs)
        self.key: Contrastive | None = None
        if config.loss == "moco":
            self.key = copy.deepcopy(self).requires_grad_(False)
            # A row of zeros is empty: a caption's embedding never is.
            for name, width in (
                ("queue_motion", config.outputs),
                ("queue_text", config.outputs),
                ("queue_embedding", text_dim),
            ):
                self.register_buffer(name, torch.zeros(config.queue, width))

    @classmethod
    def columns_read(cls, config: ContrastiveConfig) -> tuple[str, ...]:
        motion = "latent" if config.motion_input == "latent" else "motion"
        text = () if config.text_input == "embedding" else ("text_latent",)
        cluster = ("cluster",) if config.loss in ("triplet", "supcon") else ()
        return (motion, "caption_id", "text_embedding", *text, *cluster)

    @property
    def metric(self) -> Literal["cosine", "euclidean"]:
        """How points of this space are compared when it is searched.

        A space of dot products is searched by direction too, as libraries and the service do.
        """
        if self.config.loss == "triplet" and self.config.distance == "euclidean":
            return "euclidean"
        return "cosine"

    def project_motion(self, batch: Batch) -> Tensor:
        """Motion's points `[B, Z]` in the shared space."""
        if self.config.motion_input == "latent":
            return self.motion_head(batch["latent"])
        if self.encoder is not None:
            return self.motion_head(self.encoder(batch["motion"])[0])
        seen = []
        if self.frames is not None:
            seen.append(self.frames(batch["motion"]))
        if self.basis is not None and self.components is not None:
            seen.append(self.components(self.basis.encode(batch["motion"])))
        return self.motion_head(torch.cat(seen, dim=1))

    def project_text(self, batch: Batch) -> Tensor:
        """Text's points `[B, Z]` in the shared space."""
        column = "text_latent" if self.config.text_input == "latent" else "text_embedding"
        return self.text_head(batch[column])

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Points of both modalities; in training, `moco` also adds its keys and updates its
        queue."""
        output = {"motion": self.project_motion(batch), "text": self.project_text(batch)}
        if self.key is not None and self.training:
            output |= self._keys(self.key, batch)
        return output

    @torch.no_grad()
    def _keys(self, key: Contrastive, batch: Batch) -> dict[str, Tensor]:
        own = dict(self.named_parameters())
        for name, parameter in key.named_parameters():
            parameter.lerp_(own[name], 1.0 - self.config.key_momentum)
        new = {
            "queue_motion": F.normalize(key.project_motion(batch).float(), dim=1),
            "queue_text": F.normalize(key.project_text(batch).float(), dim=1),
            "queue_embedding": F.normalize(batch["text_embedding"].float(), dim=1),
        }
        output = {"key_motion": new["queue_motion"], "key_text": new["queue_text"]}
        for name, value_BZ in new.items():
            queue_KZ = self.get_buffer(name)
            output[name] = queue_KZ.clone()
            queue_KZ.copy_(torch.cat([value_BZ, queue_KZ])[: len(queue_KZ)])
        return output

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """The chosen loss, and metrics that show separation or collapse of the space."""
        motion_BZ, text_BZ = output["motion"], output["text"]
        if self.config.loss == "triplet":
            terms = self._triplet(motion_BZ, text_BZ, batch["cluster"])
        else:
            terms = self._softmax(output, batch)
        same_BB = batch["caption_id"][:, None] == batch["caption_id"][None, :]
        score_BB = self.similarity(motion_BZ.detach(), text_BZ.detach())
        hit_B = same_BB.gather(1, score_BB.argmax(1, keepdim=True)).float()
        nearest_BK = score_BB.topk(min(5, len(score_BB)), dim=1).indices
        distance_BB = losses.pairwise_distance(motion_BZ.detach(), text_BZ.detach())
        return terms | {
            "top1": hit_B.mean(),
            "top5": same_BB.gather(1, nearest_BK).any(dim=1).float().mean(),
            "pair_distance": distance_BB.mean(),
            "motion_spread": losses.embedding_spread(motion_BZ),
            "text_spread": losses.embedding_spread(text_BZ),
        }

    def similarity(self, motion_NZ: Tensor, text_MZ: Tensor) -> Tensor:
        """Similarity of points as the loss measures it, `[N, M]`; larger is nearer."""
        if self.config.loss == "triplet":
            return -self._distance(motion_NZ, text_MZ)
        return F.normalize(motion_NZ, dim=1) @ F.normalize(text_MZ, dim=1).T

    def _distance(self, a_NZ: Tensor, b_MZ: Tensor) -> Tensor:
        if self.config.distance == "euclidean":
            return losses.pairwise_distance(a_NZ, b_MZ)
        if self.config.distance == "dot":
            return -(a_NZ @ b_MZ.T)
        return 1.0 - F.normalize(a_NZ, dim=1) @ F.normalize(b_MZ, dim=1).T

    def _softmax(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        config = self.config
        motion_BZ = F.normalize(output["motion"], dim=1)
        text_BZ = F.normalize(output["text"], dim=1)
        label_B = batch["cluster"] if config.loss == "supcon" else batch["caption_id"]
        positive_BB = label_B[:, None] == label_B[None, :]
        unit_BD = F.normalize(batch["text_embedding"], dim=1)
        alike_BB = unit_BD @ unit_BD.T > config.alike_captions
        if config.loss == "simclr":
            total = losses.nt_xent(
                motion_BZ, text_BZ, positive_BB, alike_BB, temperature=config.temperature
            )
        elif "key_motion" in output:
            queued_KD = output["queue_embedding"]
            is_empty_K = queued_KD.square().sum(1) == 0.0
            ignored_BK = (unit_BD @ queued_KD.T > config.alike_captions) | is_empty_K
            ignored_BM = torch.cat([alike_BB & ~positive_BB, ignored_BK], dim=1)
            positive_BM = torch.cat([positive_BB, torch.zeros_like(ignored_BK)], dim=1)
            total = torch.zeros((), device=motion_BZ.device)
            for query_BZ, other in ((motion_BZ, "text"), (text_BZ, "motion")):
                key_MZ = torch.cat([output[f"key_{other}"], output[f"queue_{other}"]])
                similarity_BM = query_BZ @ key_MZ.T / config.temperature
                low = torch.finfo(similarity_BM.dtype).min
                similarity_BM = similarity_BM.masked_fill(ignored_BM, low)
                total = total + 0.5 * losses.softmax_to_positives(similarity_BM, positive_BM)
        else:
            cosine_BB = motion_BZ @ text_BZ.T
            total = losses.info_nce(cosine_BB / config.temperature, positive_BB, alike_BB)
        return {"total": total}

    def _triplet(self, motion_BZ: Tensor, text_BZ: Tensor, cluster_B: Tensor) -> dict[str, Tensor]:
        config = self.config
        points_NZ = torch.cat([motion_BZ, text_BZ])
        label_N = torch.cat([cluster_B, cluster_B])
        modality_N = torch.arange(len(points_NZ), device=points_NZ.device) < len(motion_BZ)
        allowed_NN = ~torch.eye(len(points_NZ), dtype=torch.bool, device=points_NZ.device)
        if config.cross_modal_only:
            allowed_NN = modality_N[:, None] != modality_N[None, :]
        same_NN = label_N[:, None] == label_N[None, :]
        terms = losses.batch_hard_triplet(
            self._distance(points_NZ, points_NZ),
            same_NN & allowed_NN,
            ~same_NN & allowed_NN,
            margin=config.margin,
            tau=config.tau,
        )
        return {"total": terms["triplet"], "gap": terms["d_neg"] - terms["d_pos"]} | {
            name: terms[name] for name in ("d_pos", "d_neg")
        }

    def infer(self, batch: Batch) -> dict[str, Tensor]:
        """The shared-space point of each window."""
        return {"motion_embedding": self.project_motion(batch)}

    def infer_captions(self, batch: Batch) -> dict[str, Tensor]:
        """The shared-space point of each caption."""
        return {"text_projection": self.project_text(batch)}

    def warnings(self, metrics: Mapping[str, float]) -> list[str]:
        out = []
        for modality in ("motion", "text"):
            spread = metrics[f"{modality}_spread"]
            if spread < 1e-4:
                out.append(f"{modality} embeddings have collapsed (spread {spread:.2g})")
        if metrics.get("gap", 0.0) < 0.0 and self.config.loss == "triplet":
            out.append(
                "the hardest positive is farther than the hardest negative "
                f"(D_neg - D_pos = {metrics['gap']:.2f}): clusters are not separated"
            )
        return out

"""Motion flow: a conditional rectified flow from noise to coefficients of the motion basis.

Not from the paper, whose text-to-motion decoder (eq. 18-20) gives blurred motion: the flow is the
default generator. Noise `z_0` and whitened coefficients `z_1` are joined by straight lines
`z_t = (1 - t) z_0 + t z_1` (Liu et al., 2022); the network predicts the end `z_1` from a point on
the line, the time and a sentence. Where a `SentenceMean` is known, `z_1` is what is left of the
coefficients without the mean of the sentence, at unit scale. The flow also learns to use given
frames, for steering: the condition includes the least-norm coefficients of randomly chosen frames,
and which frames they are. Sentence and frames are dropped at random, for guidance (Ho and Salimans,
2022).

Dimensions: B clips, K components, D sentence embedding, T frames, W width, S sets of frames or
steps of the sampler, C steps at once, R rows of conditions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn.blocks import FlowBlock, path_times, time_code, update_average
from raydance.nn.sentence_mean import SentenceMean
from raydance.stages.base import Batch, Stage, TrainConfig

MAX_STEPS: Final = 100
MAX_GUIDANCE: Final = 10.0
_NUM_SETS: Final = 192
_SETS_IN_BATCH: Final = 8
_ROWS_AT_ONCE: Final = 128
"""Of conditions, in sampling: bounds the memory that they take."""
_NOISE: Final = 0.02
"""Noise of wanted frames against unit network values: keeps least-norm solutions bounded."""


@dataclass(frozen=True, kw_only=True)
class MotionFlowConfig:
    """The flow's size, training and sampling.

    Attributes:
        enabled: whether a run has this stage.
        sentence_mean: whether the mean motion of a sentence is found by ridge regression and the
            flow learns the residual; this combines words that training never had together.
        width, num_blocks: of the residual network.
        expansion: width of a block's hidden layer relative to the block's width.
        dropout: inside blocks, in training.
        text_dropout: probability that the sentence is dropped in training.
        text_noise: standard deviation of noise added to sentence embeddings in training, relative
            to their mean length; it helps with unseen sentences.
        frames_dropout: probability that no frame is given in training.
        time_mean: of the times that are trained, as a logit (see `path_times`).
        ema: highest decay of the averaged weights, which are used for sampling.
        guidance: scale of classifier-free guidance; 1 is without.
        steps: of the sampler.
        noise_scale: of the noise that the sampler starts from; below 1, words are followed better
            and motion is smoother, and somewhat less diverse.
        candidates: motions generated per sample, of which the one that fits the sentence best is
            kept.
        new_candidates: the same for a sentence that is no training caption, where a linear map from
            sentences explains motion (see `nn.sentence_mean`).
    """

    enabled: bool = True
    sentence_mean: bool = True
    width: int = 512
    num_blocks: int = 4
    expansion: int = 2
    dropout: float = 0.1
    text_dropout: float = 0.1
    text_noise: float = 0.0
    frames_dropout: float = 0.75
    time_mean: float = -0.5
    ema: float = 0.999
    guidance: float = 1.5
    steps: int = 8
    noise_scale: float = 0.75
    candidates: int = 1
    new_candidates: int = 8
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=300, lr=2e-3, schedule="onecycle", batch_size=128, patience=0
        )
    )

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise ConfigError(f"motion_flow.steps: {self.steps}; allowed: 1 to {MAX_STEPS}")
        if not 0.0 <= self.guidance <= MAX_GUIDANCE:
            raise ConfigError(
                f"motion_flow.guidance: {self.guidance}; allowed: 0 to {MAX_GUIDANCE:g}"
            )
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"motion_flow.ema: {self.ema}; from 0 up to but without 1")
        if not 0.0 < self.noise_scale <= 2.0:
            raise ConfigError(f"motion_flow.noise_scale: {self.noise_scale}; above 0, at most 2")
        for name in ("candidates", "new_candidates"):
            if getattr(self, name) < 1:
                raise ConfigError(f"motion_flow.{name}: {getattr(self, name)}; at least 1")


class _Network(nn.Module):
    """Predicts clean coefficients."""

    def __init__(self, config: MotionFlowConfig, components: int, text_dim: int, frames: int):
        super().__init__()
        width = config.width
        self.width = width
        self.input = nn.Linear(components, width)
        self.wanted = nn.Linear(components + 2 * frames, width, bias=False)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Sequential(nn.Linear(text_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.no_text = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(
            FlowBlock(width, config.expansion, config.dropout) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, components)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(
        self, z_BK: Tensor, t_B: Tensor, text_BD: Tensor, has_text_B: Tensor, wanted_BX: Tensor
    ) -> Tensor:
        text_BW = torch.where(has_text_B[:, None], self.text(text_BD), self.no_text)
        condition_BW = F.silu(self.time(time_code(t_B, self.width)) + text_BW)
        hidden_BW = self.input(z_BK) + self.wanted(wanted_BX)
        return self.through(hidden_BW, self._modulations(condition_BW))

    def _modulations(self, condition_BW: Tensor) -> list[Tensor]:
        return [cast(FlowBlock, block).modulation(condition_BW) for block in self.blocks]

    def through(self, hidden_BW: Tensor, modulations: Sequence[Tensor]) -> Tensor:
        """Clean coefficients `[B, K]`; `modulations` are of each block, `[B, 3 W]`."""
        for block, modulation_BX in zip(self.blocks, modulations):
            hidden_BW = block(hidden_BW, modulation_BX)
        return self.output(self.norm(hidden_BW))

    def schedule(
        self, times: Sequence[float], text_BD: Tensor, with_free: bool
    ) -> Iterator[list[Tensor]]:
        """The modulations of each step of a sampler, as `through` takes them.

        They do not depend on the coefficients, so several steps share a product of matrices: with
        few rows it takes as long as reading the weights. All rows without a sentence are alike.

        Args:
            times: of the steps.
            with_free: whether B rows without a sentence follow those with one.
        """
        size = len(text_BD)
        text_RW = self.text(text_BD)
        if with_free:
            text_RW = torch.cat([text_RW, self.no_text[None]])
        time_SW = self.time(time_code(torch.tensor(times, device=text_BD.device), self.width))
        for part_CW in time_SW.split(max(1, _ROWS_AT_ONCE // len(text_RW))):
            condition_CRW = F.silu(part_CW[:, None] + text_RW)
            of_blocks = self._modulations(condition_CRW)
            for step in zip(*of_blocks):
                if with_free:
                    yield [torch.cat([x_RX[:-1], x_RX[-1:].expand(size, -1)]) for x_RX in step]
                else:
                    yield list(step)


Correction = Callable[[Tensor, float], Tensor]
"""Moves predicted coefficients `[B, K]` at time t onto what is wanted."""


class MotionFlow(Stage):
    """The flow over basis coefficients.

    Args:
        components: `[K, T, J, 3]`, the basis.
        scale: `[K]`, the standard deviation of each component in metres.
        text_dim: D.
        mean: what is taken away from coefficients; nothing if None.
    """

    name: ClassVar[str] = "motion_flow"
    reads: ClassVar[tuple[str, ...]] = ("coefficients", "text_embedding")
    num_updates: Tensor
    weight: Tensor
    set_projection: Tensor
    set_frames: Tensor

    def __init__(
        self,
        config: MotionFlowConfig,
        components: Tensor,
        scale: Tensor,
        text_dim: int,
        mean: SentenceMean | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.num_components, self.num_frames = components.shape[:2]
        self.network = _Network(config, self.num_components, text_dim, self.num_frames)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.mean = mean or SentenceMean.zero(text_dim, self.num_components)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        weight_K = scale.sqrt()
        self.register_buffer("weight", weight_K / weight_K.mean(), persistent=False)
        projection_SKK, frames_SX = _frame_sets(components)
        self.register_buffer("set_projection", projection_SKK, persistent=False)
        self.register_buffer("set_frames", frames_SX, persistent=False)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """Clean coefficients predicted from points on the way to them."""
        found_BK, text_BD = batch["coefficients"], batch["text_embedding"]
        if self.training:
            update_average(self.average, self.network, self.num_updates, self.config.ema)
            return self._predict(self.network, found_BK, text_BD, None)
        # The same noise in every validation, so that epochs compare.
        generator = torch.Generator(device="cpu").manual_seed(0)
        return self._predict(self.average, found_BK, text_BD, generator)

    def _predict(
        self,
        network: nn.Module,
        found_BK: Tensor,
        text_BD: Tensor,
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        mean_BK = self.mean(text_BD)
        z1_BK = (found_BK - mean_BK) / self.mean.spread
        config, size, device = self.config, len(z1_BK), z1_BK.device

        def uniform() -> Tensor:
            return torch.rand(size, generator=generator).to(device)

        z0_BK = torch.randn(z1_BK.shape, generator=generator).to(device)
        t_B = path_times(size, config.time_mean, generator=generator).to(device)
        z_BK = torch.lerp(z0_BK, z1_BK, t_B[:, None])
        has_text_B = uniform() >= config.text_dropout
        if self.training and config.text_noise > 0.0:
            length = text_BD.norm(dim=1).mean() * text_BD.shape[1] ** -0.5
            text_BD = text_BD + config.text_noise * length * torch.randn_like(text_BD)
        is_given_B1 = (uniform() >= config.frames_dropout)[:, None]
        wanted_BX = self._seen(found_BK, generator) * is_given_B1
        clean_BK = network(z_BK, t_B, text_BD, has_text_B, wanted_BX)
        return {"coefficients": mean_BK + clean_BK * self.mean.spread}

    def _seen(self, found_BK: Tensor, generator: torch.Generator | None) -> Tensor:
        """Least-norm coefficients of randomly given frames and the frames' flags, `[B, K + 2 T]`.

        A batch has few sets of frames, each for several clips: products of matrices are fast.
        """
        rows = -(-len(found_BK) // _SETS_IN_BATCH)
        pieces = []
        for piece_XK in found_BK.split(rows):
            number = int(torch.randint(len(self.set_frames), (), generator=generator))
            frames_XF = self.set_frames[number].expand(len(piece_XK), -1)
            seen_XK = piece_XK @ self.set_projection[number].T
            pieces.append(torch.cat([seen_XK, frames_XF], dim=1))
        return torch.cat(pieces)

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Squared error of the clean coefficients at unit scale, by the square root of their
        importance."""
        error_BK = (output["coefficients"] - batch["coefficients"]) / self.mean.spread
        error_BK = error_BK.square()
        return {"total": (error_BK * self.weight).mean(), "plain": error_BK.mean()}

    @torch.no_grad()
    def sample(
        self,
        noise_BK: Tensor,
        text_BD: Tensor,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        wanted_BX: Tensor | None = None,
        changed_K: Tensor | None = None,
        start: float = 0.0,
        correct: Correction | None = None,
    ) -> Tensor:
        """Coefficients `[B, K]` for sentences, by Euler's method.

        Args:
            noise_BK: start of the path, of unit scale.
            steps, guidance: the configuration's where None.
            wanted_BX: `[B, K + 2 T]`, least-norm coefficients of given frames and the frames'
                flags; no frames are given if None.
            changed_K: coefficients of a clip that is changed.
            start: time in [0, 1) at which the path starts, between the noise and that clip.
            correct: applied to every prediction of the clean coefficients.
        """
        steps = self.config.steps if steps is None else steps
        guidance = self.config.guidance if guidance is None else guidance
        network = self.average
        has_free = guidance != 1.0
        times = torch.linspace(start, 1.0, steps + 1).tolist()
        schedule = network.schedule(times[:-1], text_BD, has_free)
        seen_BW = None if wanted_BX is None else network.wanted(wanted_BX)
        mean_BK, spread_K = self.mean(text_BD), self.mean.spread
        z_BK = self.config.noise_scale * noise_BK
        if changed_K is not None:
            z_BK = torch.lerp(z_BK, (changed_K - mean_BK) / spread_K, start)
        for now, after, modulations in zip(times, times[1:], schedule):
            hidden_BW = network.input(z_BK)
            if seen_BW is not None:
                hidden_BW = hidden_BW + seen_BW
            if has_free:
                both = network.through(torch.cat([hidden_BW, hidden_BW]), modulations)
                told_BK, free_BK = both.chunk(2)
                clean_BK = free_BK + guidance * (told_BK - free_BK)
            else:
                clean_BK = network.through(hidden_BW, modulations)
            if correct is not None:
                moved_BK = correct(mean_BK + clean_BK * spread_K, now)
                clean_BK = (moved_BK - mean_BK) / spread_K
            z_BK = z_BK + (clean_BK - z_BK) * ((after - now) / (1.0 - now))
        return mean_BK + z_BK * spread_K


def frame_grams(components_KTJ3: Tensor) -> Tensor:
    """`[T, K, K]`: inner products of the components within each frame."""
    flat_TKX = components_KTJ3.flatten(2).transpose(0, 1)
    return flat_TKX @ flat_TKX.transpose(1, 2)


def _frame_sets(components_KTJ3: Tensor) -> tuple[Tensor, Tensor]:
    """Sets of given frames that training draws from.

    Returns:
        Projections `[S, K, K]` of coefficients onto what the frames of a set determine (the
        least-norm solution), and flags `[S, 2 T]` of its poses and of its root's path.
    """
    num_frames = components_KTJ3.shape[1]
    generator = torch.Generator().manual_seed(0)

    def draw(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    grams_TKK = frame_grams(components_KTJ3)
    roots_TKK = frame_grams(components_KTJ3[:, :, :1])
    flags_SX = torch.zeros(_NUM_SETS, 2 * num_frames)
    for flags_X in flags_SX:
        pose_T, root_T = flags_X[:num_frames], flags_X[num_frames:]
        kind = draw(6)
        if kind in (0, 1):  # a first pose, or frames that a motion goes on from
            pose_T[: 1 if kind == 0 else 1 + draw(min(12, num_frames - 1))] = 1.0
        if kind == 2:
            pose_T[0] = pose_T[-1] = 1.0
        if kind == 3:
            pose_T[torch.randperm(num_frames, generator=generator)[: 1 + draw(5)]] = 1.0
        if kind == 4:
            root_T[:] = 1.0
        if kind == 5:  # both ends, as between two clips
            pose_T[: 1 + draw(6)] = pose_T[-1 - draw(6) :] = 1.0
    identity = torch.eye(components_KTJ3.shape[0]) * _NOISE
    projections = []
    for flags_X in flags_SX:
        gram_KK = torch.einsum("t,tkl->kl", flags_X[:num_frames], grams_TKK)
        gram_KK = gram_KK + torch.einsum("t,tkl->kl", flags_X[num_frames:], roots_TKK)
        projections.append(torch.linalg.solve(gram_KK + identity, gram_KK))
    return torch.stack(projections), flags_SX

"""Track flow: from a sentence and a first frame to samples of tracks.

Not from the paper, whose decoder gives one blurred path per sentence. This is a rectified flow
(Liu et al., 2022) over the whitened coefficients of `raydance.tracks.basis`. Noise `z_0` and
coefficients `z_1` are joined by straight lines `z_t = (1 - t) z_0 + t z_1`; the network predicts
`z_1` from a point on the line, the time, the sentence and the first frame. It also learns to use
given points: the condition includes the least-norm coefficients of randomly chosen frames and
points, and which they are.

Of the sentence it reads the embedding and, by attention, the tokens: the embedding alone holds
words such as "slowly" too, but a flow trained on few sentences follows them less.

Sentences are dropped at random, for guidance (Ho and Salimans, 2022). A second guidance,
`emphasis`, is away from the *mirrored* sentence: in real videos a third of the objects described as
going "from left to right" does not, because cameras follow them, and the flow reproduces that. It
has no effect on sentences that name no side.

Dimensions: B clips, T frames, N points, K components, D sentence embedding, P path words, W width,
F start features, S sets of given frames, L tokens of E values, H queries.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.errors import ConfigError
from raydance.nn.attention import TokenPooling
from raydance.nn.blocks import (
    FlowBlock,
    TrackBasisLayer,
    TrackStart,
    path_times,
    sentence_values,
    time_code,
    update_average,
)
from raydance.nn.track_given import given_sets
from raydance.stages.base import Batch, Stage, TrainConfig

MAX_STEPS: Final = 100
MAX_GUIDANCE: Final = 10.0
_SETS_IN_BATCH: Final = 8

Correction = Callable[[Tensor, float], Tensor]
"""Moves predicted coefficients `[B, K]` at time t onto what is wanted."""

_LAST_EPOCH: Final = 10**9
"""`check_every` that keeps the last weights: they follow words better than those of least loss."""


@dataclass(frozen=True, kw_only=True)
class TrackFlowConfig:
    """The flow's size, training and sampling.

    Attributes:
        num_components: K, of the basis, at most.
        width, num_blocks, dropout: of the residual network.
        token_queries: H, means of the sentence's tokens that are read beside its embedding.
        token_width: of each of these means; wider ones learn sentences of real tracks by heart.
        text_dropout: probability that the sentence is dropped in training.
        text_noise: share of the sentence's values that is zeroed in training.
        given_dropout: probability that no frame or point is given in training.
        ema: highest decay of the averaged weights, which are used for sampling.
        guidance: scale of classifier-free guidance; 1 is without.
        emphasis: scale of the guidance away from the mirrored sentence; 0 is without, and samples
            are distributed as the training data are.
        steps: of the sampler.
        noise_scale: of the noise that the sampler starts from; with 1, paths are too short.
    """

    enabled: bool = True
    num_components: int = 60
    width: int = 256
    num_blocks: int = 4
    dropout: float = 0.2
    token_queries: int = 4
    token_width: int = 48
    text_dropout: float = 0.1
    text_noise: float = 0.1
    given_dropout: float = 0.7
    ema: float = 0.999
    guidance: float = 1.0
    emphasis: float = 0.0
    noise_scale: float = 1.05
    steps: int = 8
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            epochs=60,
            min_steps=2800,
            lr=1e-3,
            schedule="onecycle",
            batch_size=128,
            weight_decay=0.01,
            patience=0,
            check_every=_LAST_EPOCH,
        )
    )

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise ConfigError(f"track_flow.steps: {self.steps}; allowed: 1 to {MAX_STEPS}")
        for name in ("guidance", "emphasis"):
            value = getattr(self, name)
            if not 0.0 <= value <= MAX_GUIDANCE:
                raise ConfigError(f"track_flow.{name}: {value}; allowed: 0 to {MAX_GUIDANCE:g}")
        for name in ("text_dropout", "text_noise", "given_dropout", "dropout"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"track_flow.{name}: {value}; allowed: 0 to 1")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"track_flow.ema: {self.ema}; from 0 up to but without 1")
        if not 0 <= self.token_queries <= 64:
            raise ConfigError(f"track_flow.token_queries: {self.token_queries}; allowed: 0 to 64")
        if self.token_width < 1:
            raise ConfigError(f"track_flow.token_width: {self.token_width}; at least 1")
        if not 0.0 < self.noise_scale <= 2.0:
            raise ConfigError(f"track_flow.noise_scale: {self.noise_scale}; above 0, at most 2")
        if self.num_components < 1:
            raise ConfigError(f"track_flow.num_components: {self.num_components}; at least 1")


@dataclass(frozen=True)
class TrackPrompt:
    """What tracks are made from.

    Attributes:
        text: `[B, D]`, of the sentences.
        path: `[B, P]`, what their words say of the path (`raydance.text.words.path_vector`).
        start: `[B, N, 2]`, the first frame, normalised.
        tokens, mask: `[B, L, E]` and `[B, L]` bool, of the sentences; for the flow alone.
        mirrored_text, mirrored_path, mirrored_tokens, mirrored_mask: of the mirrored sentences;
            needed for `emphasis` alone.
    """

    text: Tensor
    path: Tensor
    start: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None
    mirrored_text: Tensor | None = None
    mirrored_path: Tensor | None = None
    mirrored_tokens: Tensor | None = None
    mirrored_mask: Tensor | None = None

    def rows(self, which: slice) -> TrackPrompt:
        """Some of the prompts."""
        return self._each(lambda value: value[which])

    def repeated(self, times: int) -> TrackPrompt:
        """All prompts, so many times one after the other."""
        return self._each(lambda value: value.repeat(times, *[1] * (value.ndim - 1)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> TrackPrompt:
        values = ((one.name, getattr(self, one.name)) for one in fields(self))
        return replace(self, **{name: change(v) for name, v in values if v is not None})


class _Text(nn.Module):
    """A sentence's embedding, what its words say of the path, and its tokens, `[B, W]`."""

    def __init__(self, config: TrackFlowConfig, words: int, token_dim: int) -> None:
        super().__init__()
        width, self.noise = config.width, config.text_noise
        self.tokens: nn.Module | None = None
        if config.token_queries:
            self.tokens = TokenPooling(config.token_queries, token_dim)
            self.narrow = nn.Linear(token_dim, config.token_width)
        self.layers = nn.Sequential(
            nn.Linear(words + config.token_queries * config.token_width, width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
        )

    def forward(
        self, text_BD: Tensor, path_BP: Tensor, token_BLE: Tensor | None, mask_BL: Tensor | None
    ) -> Tensor:
        parts = [sentence_values(text_BD, path_BP)]
        if self.tokens is not None:
            assert token_BLE is not None and mask_BL is not None
            mean_BHE = self.tokens(token_BLE, mask_BL.bool())
            parts.append(self.narrow(mean_BHE).flatten(1))
        words_BX = F.dropout(torch.cat(parts, dim=1), self.noise, self.training)
        text_BW: Tensor = self.layers(words_BX)
        return text_BW


class _Network(nn.Module):
    """Predicts clean coefficients."""

    def __init__(
        self,
        config: TrackFlowConfig,
        shape_KTN: tuple[int, int, int],
        words: int,
        token_dim: int,
    ) -> None:
        super().__init__()
        (components, frames, points), width = shape_KTN, config.width
        self.width = width
        self.input = nn.Linear(components, width)
        self.given = nn.Linear(components + frames, width, bias=False)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.start = nn.Sequential(TrackStart(points, width), nn.SiLU(), nn.Linear(width, width))
        self.text = _Text(config, words, token_dim)
        self.no_text = nn.Parameter(torch.zeros(width))
        self.both = nn.Sequential(
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
        )
        self.blocks = nn.ModuleList(
            FlowBlock(width, 2, config.dropout) for _ in range(config.num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, components)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, z_BK: Tensor, t_B: Tensor, prompt_BW: Tensor, given_BX: Tensor) -> Tensor:
        """Clean coefficients; `prompt_BW` is what `prompt` makes of the sentence and the start,
        which a sampler needs to compute only once."""
        condition_BW = F.silu(self.time(time_code(t_B, self.width)) + prompt_BW)
        hidden_BW = self.input(z_BK) + self.given(given_BX)
        for block in self.blocks:
            hidden_BW = block(hidden_BW, cast(FlowBlock, block).modulation(condition_BW))
        return self.output(self.norm(hidden_BW))

    def prompt(self, text_BW: Tensor, start_BN2: Tensor) -> Tensor:
        """`[B, W]` of what `text` makes of sentences, or `no_text`, and of first frames: how far
        points move depends on both, such as on the size of what grows."""
        sum_BW: Tensor = text_BW + self.start(start_BN2)
        return sum_BW + self.both(sum_BW)


class TrackFlow(Stage):
    """The flow over coefficients of a track basis, and the expected path.

    Args:
        mean, components: `[T, N, 2]` and `[K, T, N, 2]`, of the basis.
        scale: `[K]`: what one standard deviation of each component adds, normalised units.
        text_dim: D.
        path_dim: P.
        token_dim: E; D where None.
    """

    name: ClassVar[str] = "track_flow"
    reads: ClassVar[tuple[str, ...]] = ("tracks", "text_embedding", "text_path")
    num_updates: Tensor
    weight: Tensor
    set_projection: Tensor
    set_flags: Tensor

    def __init__(
        self,
        config: TrackFlowConfig,
        mean: Tensor,
        components: Tensor,
        scale: Tensor,
        text_dim: int,
        path_dim: int = 3,
        token_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        num, frames, points = components.shape[:3]
        self.num_components = num
        shape = (num, frames, points)
        self.network = _Network(config, shape, text_dim + path_dim, token_dim or text_dim)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.basis = TrackBasisLayer(mean, components)
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64))
        # Not stored with the weights, as the basis is not.
        weight_K = scale.sqrt() / scale.sqrt().mean()
        self.register_buffer("weight", weight_K, persistent=False)
        projection_SKK, flags_ST = given_sets(components)
        self.register_buffer("set_projection", projection_SKK, persistent=False)
        self.register_buffer("set_flags", flags_ST, persistent=False)

    @classmethod
    def columns_read(cls, config: TrackFlowConfig) -> tuple[str, ...]:
        return (*cls.reads, *(("text_tokens", "text_mask") if config.token_queries else ()))

    def coefficients(self, track_BTN2: Tensor) -> Tensor:
        """Whitened coefficients `[B, K]` of tracks."""
        return self.basis.encode(track_BTN2)

    def tracks(self, coefficient_BK: Tensor, start_BN2: Tensor) -> Tensor:
        """Tracks `[B, T, N, 2]` that begin at `start_BN2`."""
        return self.basis.decode(coefficient_BK, start_BN2)

    def forward(self, batch: Batch, progress: float = 1.0) -> dict[str, Tensor]:
        """True and predicted coefficients, from points on the way to them."""
        config, track_BTN2 = self.config, batch["tracks"]
        network = self.network
        generator: torch.Generator | None = None
        if self.training:
            update_average(self.average, self.network, self.num_updates, self.config.ema)
        else:
            # The averaged weights, and the same noise in every validation, so that epochs compare.
            network = self.average
            generator = torch.Generator().manual_seed(0)
        size, device = len(track_BTN2), track_BTN2.device

        def uniform() -> Tensor:
            return torch.rand(size, generator=generator).to(device)

        z1_BK = self.coefficients(track_BTN2)
        z0_BK = torch.randn(z1_BK.shape, generator=generator).to(device)
        t_B = path_times(size, generator=generator).to(device)
        tokens, mask = batch.get("text_tokens"), batch.get("text_mask")
        said_BW = network.text(batch["text_embedding"], batch["text_path"], tokens, mask)
        has_text_B = uniform() >= config.text_dropout
        text_BW = torch.where(has_text_B[:, None], said_BW, network.no_text)
        given_BX = self._given(z1_BK, generator) * (uniform() >= config.given_dropout)[:, None]
        prompt_BW = network.prompt(text_BW, track_BTN2[:, 0])
        found_BK = network(torch.lerp(z0_BK, z1_BK, t_B[:, None]), t_B, prompt_BW, given_BX)
        return {"clean": z1_BK, "coefficients": found_BK}

    def _given(self, z1_BK: Tensor, generator: torch.Generator | None) -> Tensor:
        """Least-norm coefficients of randomly given points, and the share given per frame, `[B, K +
        T]`."""
        rows = -(-len(z1_BK) // _SETS_IN_BATCH)
        pieces = []
        for piece_XK in z1_BK.split(rows):
            number = int(torch.randint(len(self.set_flags), (), generator=generator))
            seen_XK = piece_XK @ self.set_projection[number].T
            flags_XT = self.set_flags[number].expand(len(piece_XK), -1)
            pieces.append(torch.cat([seen_XK, flags_XT], dim=1))
        return torch.cat(pieces)

    def loss(
        self, output: Mapping[str, Tensor], batch: Batch, progress: float
    ) -> dict[str, Tensor]:
        """Squared error of the clean coefficients, by the square root of their importance."""
        error_BK = (output["coefficients"] - output["clean"]).square()
        return {"total": (error_BK * self.weight).mean(), "plain": error_BK.mean()}

    @torch.no_grad()
    def sample(
        self,
        noise_BK: Tensor,
        prompt: TrackPrompt,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        emphasis: float | None = None,
        given_BX: Tensor | None = None,
        correct: Correction | None = None,
    ) -> Tensor:
        """Coefficients `[B, K]`, by Euler's method.

        Args:
            noise_BK: start of the path, of unit scale.
            steps, guidance, emphasis: the configuration's where None.
            given_BX: least-norm coefficients of given points and the share of points given in each
                frame, `[B, K + T]`; nothing is given if None.
            correct: applied to every prediction of the clean coefficients.
        """
        config = self.config
        steps = config.steps if steps is None else steps
        guidance = config.guidance if guidance is None else guidance
        emphasis = config.emphasis if emphasis is None else emphasis
        network, size = self.average, len(noise_BK)
        # Clean prediction: sum of these sentences' predictions, by weights that sum to 1.
        said_BW = network.text(prompt.text, prompt.path, prompt.tokens, prompt.mask)
        parts = [(said_BW, guidance + emphasis)]
        if guidance != 1.0:
            parts.append((network.no_text.expand(size, -1), 1.0 - guidance))
        if emphasis != 0.0:
            if prompt.mirrored_text is None or prompt.mirrored_path is None:
                raise ConfigError("track_flow.emphasis needs the mirrored sentences")
            mirrored = (prompt.mirrored_tokens, prompt.mirrored_mask)
            mirrored_BW = network.text(prompt.mirrored_text, prompt.mirrored_path, *mirrored)
            parts.append((mirrored_BW, -emphasis))
        text_XW = torch.cat([text_BW for text_BW, _ in parts])
        prompt_XW = network.prompt(text_XW, prompt.start.repeat(len(parts), 1, 1))
        if given_BX is None:
            given_BX = noise_BK.new_zeros(size, self.num_components + len(self.basis.mean))
        given_XX = given_BX.repeat(len(parts), 1)
        z_BK = config.noise_scale * noise_BK
        for step in range(steps):
            t_X = torch.full((len(text_XW),), step / steps, device=z_BK.device)
            found_XK = network(z_BK.repeat(len(parts), 1), t_X, prompt_XW, given_XX)
            clean_BK = torch.zeros_like(z_BK)
            for found_BK, (_, weight) in zip(found_XK.split(size), parts):
                clean_BK = clean_BK + weight * found_BK
            if correct is not None:
                clean_BK = correct(clean_BK, step / steps)
            z_BK = z_BK + (clean_BK - z_BK) / (steps - step)
        return z_BK

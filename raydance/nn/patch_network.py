"""A transformer over the patches of clips, told of a condition, for a flow.

What does not depend on the time of the flow is computed once for all steps of a sampler.

Dimensions: B clips, P patches, K values of a code, Q latents, W width, T frames, N rows and times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydance.motion.patch_basis import HOP
from raydance.nn.attention import Keys, ModulatedBlock, wave_code
from raydance.nn.conditioning import Conditioning


class PatchContext(NamedTuple):
    """All that does not depend on the time: what blocks attend to, which of it counts, a vector for
    each row, and what is added to each patch; whether it is in the clip."""

    keys: list[Keys]
    mask_BQ: Tensor
    one_BW: Tensor
    added_BPW: Tensor
    mask_BP: Tensor


class PatchNetwork(nn.Module):
    """Predicts clean codes of patches.

    Args:
        conditioning: of inputs.
        codes: K.
        width: W.
        num_blocks, heads, dropout: of the transformer.
        reads_latents: whether blocks attend to the latents of the inputs; otherwise only the
            vector per row and the values of frames tell of them.
    """

    def __init__(
        self,
        conditioning: Conditioning,
        codes: int,
        *,
        width: int,
        num_blocks: int,
        heads: int,
        dropout: float,
        reads_latents: bool = True,
    ) -> None:
        super().__init__()
        self.reads_latents = reads_latents
        self.conditioning = conditioning
        self.input = nn.Linear(codes, width)
        self.given = nn.Linear(codes + 1, width)
        self.music = nn.Linear(HOP * width, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.from_end = nn.Linear(width, width)
        self.blocks = nn.ModuleList(
            ModulatedBlock(width, width, heads=heads, dropout=dropout) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, codes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def context(
        self,
        batch: Mapping[str, Tensor],
        given_BPK: Tensor,
        is_given_BP: Tensor,
        place_BP: Tensor,
        patches_B: Tensor,
    ) -> PatchContext:
        """What patches are told beside their codes.

        Args:
            batch: as `Conditioning` takes.
            given_BPK: codes of the frames before, where `is_given_BP`.
            place_BP: number of each patch in its clip; patches_B: of the whole clip.
        """
        latents_BQW, mask_BQ, one_BW, frames_BTW = self.conditioning(batch)
        if not self.reads_latents:
            mask_BQ = torch.zeros_like(mask_BQ)
        if not self.training:  # only what some row attends to
            used_Q = mask_BQ.any(dim=0)
            used_Q[0] = True
            latents_BQW, mask_BQ = latents_BQW[:, used_Q], mask_BQ[:, used_Q]
        count, width = given_BPK.shape[1], one_BW.shape[1]
        flag_BP1 = is_given_BP[..., None].to(given_BPK.dtype)
        given_BPX = torch.cat([given_BPK * flag_BP1, flag_BP1], dim=-1)
        frames_BTW = F.pad(frames_BTW, (0, 0, 0, max(0, count * HOP - frames_BTW.shape[1])))
        music_BPX = frames_BTW[:, : count * HOP].unflatten(1, (count, HOP)).flatten(2)
        left_BP = (patches_B[:, None] - place_BP).clamp(min=0)
        places_2BP = torch.stack([place_BP, left_BP]).to(given_BPK.dtype)
        code_2BPW = wave_code(places_2BP.flatten(), width, 100.0).unflatten(0, places_2BP.shape)
        added_BPW = self.given(given_BPX) + self.music(music_BPX)
        return PatchContext(
            keys=[cast(ModulatedBlock, block).cross.keys(latents_BQW) for block in self.blocks],
            mask_BQ=mask_BQ,
            one_BW=one_BW,
            added_BPW=added_BPW + code_2BPW[0] + self.from_end(code_2BPW[1]),
            mask_BP=place_BP < patches_B[:, None],
        )

    def modulations(self, t_N: Tensor, one_NW: Tensor) -> list[Tensor]:
        """Of each block, `[N, 6 W]`, at times `t_N`; of all steps of a sampler at once, which with
        few rows takes as long as of one."""
        vector_NW = F.silu(self.time(wave_code(1000.0 * t_N, one_NW.shape[1], 10_000.0)) + one_NW)
        return [cast(ModulatedBlock, block).modulation(vector_NW) for block in self.blocks]

    def forward(
        self, z_BPK: Tensor, modulations: Sequence[Tensor], context: PatchContext
    ) -> Tensor:
        """Clean codes `[B, P, K]` of points on the way to them."""
        token_BPW = self.input(z_BPK) + context.added_BPW
        for block, modulation_BX, keys in zip(self.blocks, modulations, context.keys):
            token_BPW = block(token_BPW, context.mask_BP, modulation_BX, keys, context.mask_BQ)
        return self.output(self.norm(token_BPW))

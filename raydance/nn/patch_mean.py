"""The mean motion of a sentence at each place of a clip: `SentenceMean` of words and places.

What a clip shows depends on where in it one looks: it begins and ends at rest. Each value of the
sentence therefore counts three times: everywhere, near the clip's start, and near its end.

Dimensions: B rows, P patches, D sentence embedding, K values of a code, X = 3 (D + 1) features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raydance.nn.sentence_mean import SentenceMean


class PatchMean(nn.Module):
    """Mean codes of patches, and how far codes lie from them. Fixed.

    Args:
        mean: of the features that `placed_text` gives.
    """

    def __init__(self, mean: SentenceMean) -> None:
        super().__init__()
        self.mean = mean

    @property
    def spread(self) -> Tensor:
        """`[K]`: standard deviation of codes around the mean."""
        return self.mean.spread

    def forward(self, text_BD: Tensor, place_BP: Tensor, patches_B: Tensor) -> Tensor:
        """`[B, P, K]`; arguments as of `placed_text`."""
        return self.mean(placed_text(text_BD, place_BP, patches_B))


def placed_text(text_BD: Tensor, place_BP: Tensor, patches_B: Tensor) -> Tensor:
    """Features `[B, P, X]`, of which the first D are the sentence itself.

    Args:
        text_BD: embeddings of sentences.
        place_BP: number of each patch in its clip; patches_B: how many the clip has.
    """
    left_BP = (patches_B[:, None] - 1 - place_BP).clamp(min=0)
    near_BP3 = torch.stack(
        [torch.ones_like(place_BP).float(), (-place_BP).exp(), (-left_BP).exp()], dim=-1
    )
    known_BX = torch.cat([text_BD, torch.ones_like(text_BD[:, :1])], dim=1)
    return (near_BP3[..., None] * known_BX[:, None, None]).flatten(2)

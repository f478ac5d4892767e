"""The step that finds the mean motion of sentences, from the clips that have words alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor

from raydance.data.chunks import BatchSpec
from raydance.motion.patch_basis import HOP
from raydance.nn.conditioning import mean_of_tokens
from raydance.nn.patch_mean import PatchMean, placed_text
from raydance.nn.sentence_mean import SentenceMean, fit_sentence_mean
from raydance.stages.base import Batch
from raydance.stages.sequence_flow import any_signal
from raydance.systems.everything2motion import patches
from raydance.training.batches import Batches
from raydance.training.run_folder import Run, load_bundle, save_bundle

STEP: Final = "sentence_mean"
_EPOCHS: Final = 4
"""With the captions and mirrored clips that each draws."""
_CLIPS: Final = 20_000
"""Maximum number of clips of a dataset that are read."""


def write_sentence_mean(
    run: Run, specs: Sequence[BatchSpec], signals: Sequence[str], text_dim: int
) -> dict[str, Any]:
    """Fit the mean of sentences and store it.

    Args:
        specs: of the flow's batches, of each dataset.
        signals: that clips with words alone lack.
        text_dim: of text tokens.

    Returns:
        Whether it is used, and the share of the variance of held-out captions that it explains.
    """
    rows = _rows(specs, signals)
    first = next(rows, None)
    if first is None:
        facts: dict[str, Any] = {"is_used": False}
        save_bundle(run.bundle(STEP), {}, facts)
        return facts

    def all_rows() -> Iterator[dict[str, Tensor]]:
        yield first
        yield from rows

    scale = patches.bases_of(run)["frames"].scale
    tensors, facts = fit_sentence_mean(all_rows(), scale, text_dim=text_dim)
    save_bundle(run.bundle(STEP), tensors, facts)
    return facts


def sentence_mean_of(run: Run) -> PatchMean | None:
    """The mean that a run uses, if any."""
    if STEP not in run.facts["steps"]:
        return None
    tensors, facts = load_bundle(run.bundle(STEP))
    return PatchMean(SentenceMean(**tensors)) if facts["is_used"] else None


def _rows(specs: Sequence[BatchSpec], signals: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    for spec in specs:
        batches = Batches(spec)
        drawn = (batch for epoch in range(_EPOCHS) for batch in batches.train(epoch))
        for batch in islice(drawn, max(1, _CLIPS // spec.batch_size)):
            if (rows := _rows_of(batch, signals)) is not None:
                yield rows


def _rows_of(batch: Batch, signals: Sequence[str]) -> dict[str, Tensor] | None:
    """Words at the place of each patch, and its codes; None of a batch without words alone."""
    has_words_B = batch["has_text"] & ~any_signal(batch, signals)
    if not has_words_B.any():
        return None
    words = {name: values[has_words_B] for name, values in batch.items()}
    text_BE = mean_of_tokens(words["text_tokens"].float(), words["text_mask"])
    codes_BPK = words["patch_codes"]
    place_BP = torch.arange(codes_BPK.shape[1]).expand(len(text_BE), -1)
    patches_B = -(-words["length"] // HOP)
    is_there_BP = place_BP < patches_B[:, None]
    return {
        "text_embedding": placed_text(text_BE, place_BP, patches_B)[is_there_BP],
        "coefficients": codes_BPK[is_there_BP],
    }

"""What the paper claims without showing it: for each claim what is varied and what is measured.

Each variant is trained from the same steps and the same seed as the paper's own choice, so that
seeds pair up. All figures are of the validation split and free of what is varied.
"""

from __future__ import annotations

from typing import Any, Final

from raydance.systems.dance_language.objectives import OBJECTIVES
from raydance.systems.search import Claim, EpochsToLoss, Figure

_CAPTIONS: Final = ("statistics", "motion_basis", "motion_vae", "clusters", "captions")
_WORDS: Final = (*_CAPTIONS, "text_encoder")

_MIX = Claim(
    name="mix",
    text="70 % MSE and 30 % L1 rebuild motion better than either alone (II.B, eq. 5)",
    common={},
    variants={
        ".7 MSE + .3 L1": {"motion_vae.mse_weight": 0.7},
        "MSE alone": {"motion_vae.mse_weight": 1.0},
        "L1 alone": {"motion_vae.mse_weight": 0.0},
    },
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae",),
    measures=(
        Figure(objective=OBJECTIVES["reconstruction_cm"]),
        Figure(objective=OBJECTIVES["velocity_cm_s"]),
    ),
)

_CELLS = Claim(
    name="cells",
    text="an LSTM encoder with a GRU decoder beats other pairs (II.B, LSTM-GRU asymmetry)",
    # A basis beside the cells would hide them.
    common={"motion_vae.basis": False},
    variants={
        f"{encoder.upper()} + {decoder.upper()}": {
            "motion_vae.encoder": encoder,
            "motion_vae.decoder": decoder,
        }
        for encoder, decoder in (("lstm", "gru"), ("lstm", "lstm"), ("gru", "gru"), ("gru", "lstm"))
    },
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae",),
    measures=(Figure(objective=OBJECTIVES["reconstruction_cm"]),),
)

_SCHEDULE = Claim(
    name="schedule",
    text="OneCycle takes 30 % less training than a constant learning rate (II.B, training)",
    common={},
    variants={
        "OneCycle": {"motion_vae.train.schedule": "onecycle"},
        "constant rate": {"motion_vae.train.schedule": "constant"},
    },
    shared_steps=("statistics", "motion_basis"),
    steps=("motion_vae",),
    measures=(EpochsToLoss(stage="motion_vae", at_least=0.30),),
)

_HYBRID = Claim(
    name="hybrid",
    text="cosine and MSE together retrieve 15 % better than either alone (II.D, eq. 12)",
    common={},
    variants={
        "hybrid, alpha .5": {"text_encoder.alpha": 0.5},
        "cosine alone": {"text_encoder.alpha": 1.0},
        "MSE alone": {"text_encoder.alpha": 0.0},
    },
    shared_steps=_CAPTIONS,
    steps=("text_encoder",),
    measures=(Figure(objective=OBJECTIVES["latent_mrr"], at_least=0.15),),
)

_TRIPLET: Final[dict[str, Any]] = {
    "contrastive.loss": "triplet",
    "contrastive.motion_input": "latent",
    "contrastive.text_input": "latent",
}

_DISTANCE = Claim(
    name="distance",
    text="Euclidean distance in the triplet is better than the dot product (II.E, eq. 14)",
    common=_TRIPLET,
    variants={
        "Euclidean": {"contrastive.distance": "euclidean"},
        "dot product": {"contrastive.distance": "dot"},
        "cosine": {"contrastive.distance": "cosine"},
    },
    shared_steps=_WORDS,
    steps=("contrastive",),
    measures=(Figure(objective=OBJECTIVES["mrr"]),),
)

_SYMMETRY = Claim(
    name="symmetry",
    text="heads of one structure keep either modality from dominating (II.E, eq. 13)",
    common=_TRIPLET,
    variants={
        "two alike heads": {"contrastive.text_head": "mlp"},
        "one linear text head": {"contrastive.text_head": "linear"},
    },
    shared_steps=_WORDS,
    steps=("contrastive",),
    measures=(Figure(objective=OBJECTIVES["balance"]),),
)

_LOSSES = Claim(
    name="losses",
    text="the hardest-pair triplet against CLIP, SimCLR and MoCo (left to future work)",
    common={"contrastive.motion_input": "latent", "contrastive.text_input": "latent"},
    variants={
        "triplet": {"contrastive.loss": "triplet"},
        "CLIP (InfoNCE)": {"contrastive.loss": "infonce"},
        "SimCLR (NT-Xent)": {"contrastive.loss": "simclr"},
        "MoCo": {"contrastive.loss": "moco"},
    },
    shared_steps=_WORDS,
    steps=("contrastive",),
    measures=(Figure(objective=OBJECTIVES["mrr"]),),
)

_DECODER = Claim(
    name="decoder",
    text="a decoder from the VAE needs 50-100 epochs, a fresh one 300 and more (II.G)",
    common={},
    variants={
        "from the VAE": {"text_to_motion.decoder_start": "vae"},
        "from scratch": {"text_to_motion.decoder_start": "scratch"},
    },
    shared_steps=_WORDS,
    steps=("text_to_motion",),
    # A third of the epochs is the least that 50-100 against 300 says.
    measures=(EpochsToLoss(stage="text_to_motion", at_least=2 / 3),),
)

CLAIMS: Final[dict[str, Claim]] = {
    "mix": _MIX,
    "cells": _CELLS,
    "schedule": _SCHEDULE,
    "hybrid": _HYBRID,
    "distance": _DISTANCE,
    "symmetry": _SYMMETRY,
    "losses": _LOSSES,
    "decoder": _DECODER,
}
"""Every claim by the name that `raydance ablate` takes."""

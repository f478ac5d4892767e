"""Tables I-VI of the paper and one of the motion flow, with this run's own figures.

The paper's numbers are not repeated: Table I is on a scale that eq. 5-8 do not give, and Table VI
is Table V digit for digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from raydance.systems.base import history
from raydance.training.kept_epoch import checks_of, kept_line
from raydance.training.run_folder import Run


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of text.

    Attributes:
        number: the paper's, or empty.
    """

    number: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


STAGES: Final[dict[str, tuple[str, str, str]]] = {
    "motion_vae": ("Motion VAE", "Fig. 9", "I"),
    "text_encoder": ("Text encoder", "Fig. 10", "III"),
    "contrastive": ("Contrastive projection", "Fig. 11", "IV"),
    "motion_to_text": ("Motion to text", "Fig. 12", "V"),
    "text_to_motion": ("Text to motion", "Fig. 13", "VI"),
    "motion_flow": ("Motion flow", "Fig. 14", ""),
}
"""Stage -> title, the figure of its losses, the paper's table; the paper has no flow."""

_EPOCHS: Final[dict[str, tuple[int, ...]]] = {
    "text_encoder": (1, 10, 20, 40, 80, 160),
    "contrastive": (1, 50, 100, 150, 250),
    "motion_to_text": (1, 2, 3, 5, 7, 10),
    "text_to_motion": (1, 2, 3, 5, 7, 10),
    "motion_flow": (1, 10, 50, 100, 200, 300),
}


def plain_stage(stage: str) -> tuple[str, str, str]:
    """Title, figure and table of a stage that the paper does not have."""
    return stage.replace("_", " ").capitalize(), "Losses", ""


def stages_of(run: Run, trained: Sequence[str] = tuple(STAGES)) -> list[str]:
    """Those of the stages that a run has trained."""
    return [stage for stage in trained if history(run, stage)]


def steps_table(run: Run, names: Sequence[str]) -> Table:
    """The steps that are done, with their times and plain facts."""
    rows = []
    for name in names:
        facts = run.facts["steps"].get(name)
        if facts is not None:
            told = [
                f"{key.replace('_', ' ')} {_number(v) if isinstance(v, float) else v}"
                for key, v in facts.items()
                if isinstance(v, (int, float, str)) and key not in ("fingerprint", "seconds")
            ]
            seconds = f"{facts['seconds']:.1f} s" if "seconds" in facts else "-"
            rows.append((name.replace("_", " "), seconds, ", ".join(told) or "-"))
    return Table(number="", title="Steps", header=("Step", "Time", "Facts"), rows=tuple(rows))


def stage_table(run: Run, stage: str) -> Table:
    """The losses of a stage: Tables I and III-VI, and those of stages that are not the paper's."""
    check_every = checks_of(run.config)[stage]
    if stage == "motion_vae":
        literal = run.config[stage]["literal_eq7"]
        return vae_table(history(run, stage), check_every, literal_eq7=literal)
    return loss_table(stage, history(run, stage), check_every)


def vae_table(
    lines: Sequence[dict[str, Any]], check_every: int, *, literal_eq7: bool = False
) -> Table:
    """Table I: losses of the weights kept, means over all values and sums over a sequence."""
    kept = kept_line(lines, check_every)
    best = kept or lines[-1]
    terms = {
        "total": "Total loss, eq. 8",
        "recon": "Reconstruction, eq. 5 (mean over values)",
        "recon_per_sequence": "Reconstruction, summed over a sequence",
        "velocity": "Velocity, eq. 6",
        "kl": "KL, eq. 7 as printed" if literal_eq7 else "KL, eq. 7 mended",
    }
    rows = [
        (title, _number(best["train"].get(name)), _number(best["validation"].get(name)))
        for name, title in terms.items()
        if name in best["validation"]
    ]
    note = (
        f"Epoch {best['epoch'] + 1} of {len(lines)}. Training losses are of augmented windows and "
        "sampled latents and use the KL weight of their epoch; validation uses means and the last "
        "KL weight."
    )
    if kept is None:
        note += " No validation loss was finite, so no epoch was kept; this is the last one."
    if not literal_eq7:
        note += " The KL is never negative and the total never below the reconstruction."
    return Table(
        number="I",
        title="Motion VAE",
        header=("Metric", "Training", "Validation"),
        rows=tuple(rows),
        note=note,
    )


def silhouette_table(report: dict[str, Any], points: str = "latents") -> Table:
    """Table II of clusters of `points`: the whole curve, with stability, and the other methods.

    Those are fitted with the K taken.
    """
    chosen = report["num_clusters"]
    rows = [
        (
            f"K-means, K = {k}" + (" (taken)" if int(k) == chosen else ""),
            _decimals(report["silhouette"][k]),
            _decimals(report["stability"].get(k)),
        )
        for k in sorted(report["silhouette"], key=int)
    ]
    names = {
        "gmm": "Gaussian mixture",
        "hierarchical": "Hierarchical",
        "dbscan": "DBSCAN",
        "seeded_kmeans": "K-means seeded by labels",
        "constrained_kmeans": "K-means constrained by labels",
    }
    for method, title in names.items():
        found = report["comparison"].get(method)
        if found:
            noise = f", {found['noise_share']:.0%} noise" if found["noise_share"] else ""
            count = f"{title}, {found['clusters']} clusters{noise}"
            # One cluster and noise are not two clusters.
            score = found["silhouette"] if found["clusters"] > 1 else None
            rows.append((count, _decimals(score), "-"))
    return Table(
        number="II",
        title=f"Silhouette and stability of clusterings of the {points}",
        header=("Clustering", "Silhouette", "Stability (ARI over seeds)"),
        rows=tuple(rows),
        note=" ".join(f"{w[0].upper()}{w[1:]}." for w in report["warnings"]),
    )


def loss_table(stage: str, lines: Sequence[dict[str, Any]], check_every: int) -> Table:
    """Tables III-VI, and the flow's: total losses at a few epochs, the one kept among them."""
    kept = kept_line(lines, check_every)
    best = kept["epoch"] + 1 if kept else 0
    by_epoch = {line["epoch"] + 1: line for line in lines}
    last = max(by_epoch)
    marks = _EPOCHS.get(stage, _EPOCHS["motion_flow"])
    shown = sorted({e for e in marks if e in by_epoch} | {best or last, last})
    rows = [
        (
            f"{epoch}" + (" (kept)" if epoch == best else ""),
            _number(by_epoch[epoch]["train"].get("total")),
            _number(by_epoch[epoch]["validation"]["total"]),
        )
        for epoch in shown
    ]
    title, _, number = STAGES.get(stage, plain_stage(stage))
    return Table(
        number=number,
        title=title,
        header=("Epoch", "Training loss", "Validation loss"),
        rows=tuple(rows),
    )


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.4g}"


def _decimals(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.3f}"

"""Plots of a run: silhouette over K, clusters in the plane of their PCA, loss curves.

Figures 3, 4 and 9-13 of the paper and the motion flow's losses, from this run's own figures. As SVG
they follow the reader's light or dark setting; as PNG they are on white.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from raydance.files import replacing
from raydance.training.kept_epoch import kept_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = (
    "#2b7bd3",
    "#e0702f",
    "#2f9e5b",
    "#c44e9b",
    "#8a63c9",
    "#b8912a",
    "#3aa3a8",
    "#cf4a4a",
    "#7a8794",
    "#6f9b2e",
)
_INK, _GRID = "#101112", "#d0d1d2"  # stand-ins: the SVG takes the page's colours for them
_THEME: Final = (
    "<style>svg{color:#1f2733;background:#fff}"
    "@media (prefers-color-scheme:dark){svg{color:#dfe4ea;background:#1a1f27}}</style>"
)
_FONT: Final = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
_STAGE_TERMS: Final[dict[str, tuple[str, ...]]] = {
    "motion_vae": ("recon", "velocity", "kl"),
    "text_encoder": ("cosine", "mse"),
    "contrastive": ("top1", "gap"),
    "motion_to_text": ("positive", "negative", "cluster_accuracy"),
    "text_to_motion": ("recon", "text_only"),
    "motion_flow": ("plain",),
}


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `columns` panels, inches, without any global state of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    figure.patch.set_alpha(0.0)
    for axis in axes:
        _quiet(axis)
    return figure, list(axes)


def _quiet(axis: Axes) -> None:
    axis.set_facecolor("none")
    axis.grid(True, color=_GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_INK)
    axis.tick_params(colors=_INK, labelsize=9)
    axis.xaxis.label.set_color(_INK)
    axis.yaxis.label.set_color(_INK)
    axis.title.set_color(_INK)
    axis.xaxis.label.set_fontsize(10)
    axis.yaxis.label.set_fontsize(10)


def _legend(axis: Axes, **settings: Any) -> None:
    legend = axis.legend(frameon=False, fontsize=9, **settings)
    for text in legend.get_texts():
        text.set_color(_INK)


def save_svg(figure: Figure, path: Path) -> None:
    """Write an SVG whose ink is the reader's."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text.replace(f"stroke: {_GRID}", "stroke: currentColor; stroke-opacity: 0.14")
    text = text.replace(_INK, "currentColor").replace("'DejaVu Sans'", _FONT)
    start = text.index(">", text.index("<svg")) + 1
    with replacing(path) as temporary:
        temporary.write_text(text[:start] + _THEME + text[start:], encoding="utf-8")


def save_png(figure: Figure, path: Path) -> None:
    """Write a PNG on white."""
    figure.patch.set_facecolor("white")
    figure.patch.set_alpha(1.0)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)


def draw_silhouette(axis: Axes, report: dict[str, Any]) -> None:
    """Fig. 3: silhouette of K-means for every K, the K taken, and stability over seeds."""
    ks = sorted(map(int, report["silhouette"]))
    score = [report["silhouette"][str(k)] for k in ks]
    stability = [report["stability"][str(k)] for k in ks]
    axis.plot(ks, score, "o-", color=COLOURS[0], label="silhouette")
    chosen = report["num_clusters"]
    if str(chosen) in report["silhouette"]:
        axis.plot(
            [chosen],
            [report["silhouette"][str(chosen)]],
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgewidth=2,
            color=COLOURS[1],
            label=f"taken: K = {chosen}",
        )
    axis.plot(ks, stability, "s--", color=COLOURS[8], label="stability (ARI over seeds)")
    axis.set_xlabel("K")
    axis.set_xticks(ks)
    axis.set_ylim(min(0.0, *score, *stability) - 0.02, 1.04)
    _legend(axis, loc="upper right")


def draw_points(
    axis: Axes, points_N2: np.ndarray, names: Sequence[str], title: str, max_names: int = 9
) -> None:
    """Fig. 4: latents in the plane of their PCA, coloured by name."""
    common = [name for name, _ in Counter(names).most_common(max_names)]
    shown = common if set(names) <= set(common) else common[: max_names - 1]
    kind = np.array([name if name in shown else "other" for name in names], dtype=object)
    for i, name in enumerate([*sorted(shown), *(["other"] if "other" in kind else [])]):
        mine = points_N2[kind == name]
        axis.scatter(
            mine[:, 0], mine[:, 1], s=9, alpha=0.65, linewidths=0, color=COLOURS[i], label=name
        )
    axis.set_title(title, fontsize=11, loc="left", color=_INK)
    axis.set_xlabel("first component")
    axis.set_ylabel("second component")
    _legend(axis, markerscale=1.8, handletextpad=0.2, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def draw_reliability(axis: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """A reliability diagram: the share that is right over the stated probability.

    Args:
        bins: as `metrics.calibration.ReliabilityBin`; a dot's size says how many are in it.
    """
    filled = [one for one in bins if one["count"]]
    total = sum(one["count"] for one in filled)
    axis.plot([0, 1], [0, 1], "--", color=_INK, linewidth=1, label="as stated")
    axis.scatter(
        [one["confidence"] for one in filled],
        [one["accuracy"] for one in filled],
        s=[20 + 400 * one["count"] / total for one in filled],
        color=COLOURS[0],
        alpha=0.8,
        label="test windows",
    )
    axis.set_xlabel("stated probability")
    axis.set_ylabel("share that is right")
    axis.set_xlim(-0.03, 1.06)
    axis.set_ylim(-0.03, 1.06)
    _legend(axis, loc="upper left", markerscale=0.5)


def draw_losses(
    axes: Sequence[Axes], stage: str, history: Sequence[dict[str, Any]], check_every: int
) -> None:
    """Fig. 9-13: the total on the first panel, and terms of its validation on the second.

    A dot marks the epoch whose weights were kept, of those that training checked.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = [line["epoch"] + 1 for line in history]
    train = [line["train"].get("total", np.nan) for line in history]
    check = [line["validation"]["total"] for line in history]
    axes[0].plot(epochs, train, color=COLOURS[0], label="training")
    axes[0].plot(epochs, check, color=COLOURS[1], label="validation")
    if kept := kept_line(history, check_every):
        place = [kept["epoch"] + 1], [kept["validation"]["total"]]
        axes[0].plot(*place, "o", color=COLOURS[1], markersize=5)
    both = np.array(train + check, dtype=float)
    both = both[np.isfinite(both)]
    if len(both) and both.min() > 0 and both.max() / both.min() > 30:
        axes[0].set_yscale("log")
    for axis in axes:
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes[0].set_ylabel("total loss")
    _legend(axes[0])
    if len(axes) < 2:
        return
    there = history[-1]["validation"]
    known = _STAGE_TERMS.get(stage, tuple(term for term in there if term != "total")[:4])
    terms = [term for term in known if term in there]
    for i, term in enumerate(terms):
        values = [line["validation"].get(term, np.nan) for line in history]
        axes[1].plot(epochs, values, color=COLOURS[(i + 2) % len(COLOURS)], label=term)
    axes[1].set_ylabel("validation")
    if terms:
        _legend(axes[1])

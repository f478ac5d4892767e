"""What the report of a run of Dance-Language holds beside that of every system.

The paper's figures 1-8 and table II from this run's own figures, real and generated motion, and
what the paper lacks: captions found, and how far they can be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raydance.files import replacing
from raydance.report import clips, diagrams, page, plots, tables
from raydance.report.section import ReportContext, Section
from raydance.systems.dance_language.run import DanceLanguage
from raydance.training.run_folder import Run, load_bundle

_MAX_POINTS = 3000
_NUM_WINDOWS = 6
_NUM_SENTENCES = 3


def sections_of(system: DanceLanguage, context: ReportContext) -> list[Section]:
    """Its sections, in order; pictures are written beside the page."""
    write_figures(system, context.figures)
    evaluation = context.evaluation
    folder = context.out / "motion"
    sentences = list(context.sentences) or _sentences(system, evaluation)
    windows = clips.windows_to_show(system, context.dataset, _NUM_WINDOWS)
    rebuilt = clips.draw_reconstructions(system, windows, folder)
    made = clips.draw_generated(system, context.dataset, sentences, folder)
    return [
        Section("measured", "What is measured", _measured(system, evaluation)),
        Section("generated", "Motion from sentences", page.animations(made, "motion")),
        Section(
            "reconstructed", "Real and reconstructed motion", page.animations(rebuilt, "motion")
        ),
        *([Section("found", "Captions found", _found(evaluation))] if evaluation else []),
        *_trust(evaluation, context.figures),
        Section("networks", "The pipeline and its networks", _networks(system)),
        Section("clusters", "Clusters", _clusters(system)),
    ]


def _measured(system: DanceLanguage, evaluation: Mapping[str, Any] | None) -> str:
    size = f"{len(system.library.cluster)} windows, {len(system.captions.texts)} captions"
    parts = [page.paragraph(f"The run holds {size}.")]
    boxes = []
    if evaluation is None and is_synthetic(system):
        boxes.append("The data are a procedural dancer's, not recordings of people.")
    if system.run.facts["steps"].get("captions", {}).get("derived"):
        boxes.append(
            "Some windows had no caption. Descriptions derived from kinematics stand in for "
            "their clusters; nobody wrote them."
        )
    if boxes:
        parts.append(page.warning(boxes))
    if evaluation is not None:
        parts.append(
            page.paragraph(
                f"{evaluation['num_labels']} names of movements (by {evaluation['label']}). "
                f"Generation takes the motion latent from: {evaluation['source']}. For "
                "reconstruction, chance is the mean pose. The baseline is nearest neighbours on "
                "kinematic features, sentences by a frozen encoder; for generation it copies a "
                "real window, so its motion is natural by construction."
            )
        )
    return "".join(parts)


def is_synthetic(system: DanceLanguage) -> bool:
    """Whether the library holds the procedural dancer's clips."""
    return any('"synthetic"' in (labels or "") for labels in system.library.windows["labels"])


def write_figures(system: DanceLanguage, folder: Path) -> list[Path]:
    """All figures of the paper that a run can draw, as SVG; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    config = system.config
    name = config.text.model
    dim = int(system.captions.columns["text_embedding"].shape[1])
    num = system.basis.num_components
    drawn = {
        "fig01_pipeline": diagrams.pipeline(config, len(system.centroids), name, dim, num),
        "fig02_motion_vae": diagrams.motion_vae(config, num),
        "fig05_text_encoder": diagrams.text_encoder(config, name, dim),
        "fig06_contrastive": diagrams.contrastive(config, dim, num),
        "fig07_motion_to_text": diagrams.motion_to_text(config, dim, len(system.caption_base.ids)),
        "fig08_text_to_motion": diagrams.text_to_motion(config),
    }
    if system.motion_flow is not None:
        drawn["fig15_motion_flow_network"] = diagrams.motion_flow(config, dim, num)
    files = []
    for stem, svg in drawn.items():
        with replacing(folder / f"{stem}.svg") as temporary:
            temporary.write_text(svg, encoding="utf-8")
        files.append(folder / f"{stem}.svg")
    figure, axes = plots.new_figure(7.2, 3.6)
    plots.draw_silhouette(axes[0], cluster_report(system.run))
    plots.save_svg(figure, folder / "fig03_silhouette.svg")
    figure, axes = plots.new_figure(10.4, 4.6, columns=2)
    draw_clusters(system, axes)
    plots.save_svg(figure, folder / "fig04_clusters.svg")
    files += [folder / "fig03_silhouette.svg", folder / "fig04_clusters.svg"]
    return files


def cluster_report(run: Run) -> dict[str, Any]:
    """What the clustering step found out."""
    report: dict[str, Any] = load_bundle(run.bundle("clusters"))[1]["report"]
    return report


def draw_clusters(system: DanceLanguage, axes: Sequence[Any]) -> None:
    """Fig. 4 on two panels: by cluster, and by what people call it."""
    tensors, _ = load_bundle(system.run.bundle("clusters"))
    library = system.library
    rows = np.arange(len(library.cluster))
    if len(rows) > _MAX_POINTS:
        rows = np.sort(np.random.default_rng(0).choice(rows, _MAX_POINTS, replace=False))
    centred = library.point[rows] - tensors["pca_mean"].numpy()
    points = centred @ tensors["pca_axes"].numpy().T
    clusters = [f"cluster {c}" for c in library.cluster[rows]]
    plots.draw_points(axes[0], points, clusters, "by cluster", max_names=10)
    labels = [json.loads(library.windows["labels"][i] or "{}") for i in rows]
    key = next((k for k in ("quality", "movement", "content", "action") if k in labels[0]), "")
    if key:
        names = [str(row.get(key, "?")) for row in labels]
        plots.draw_points(axes[1], points, names, f"by {key}")
    else:
        splits = [library.windows["split"][i] for i in rows]
        plots.draw_points(axes[1], points, splits, "by split (nothing else is written)")


def _sentences(system: DanceLanguage, evaluation: Mapping[str, Any] | None) -> list[str]:
    if evaluation and evaluation["examples"]:
        rows = evaluation["examples"]
        step = max(1, len(rows) // _NUM_SENTENCES)
        return [row["captions"][0] for row in rows[::step]][:_NUM_SENTENCES]
    return [system.captions.texts[i] for i in system.caption_base.ids[:_NUM_SENTENCES]]


def _found(evaluation: Mapping[str, Any]) -> str:
    words = "One test window of each movement; the captions were found among those of training."
    return page.paragraph(words) + page.examples(evaluation["examples"])


def _trust(evaluation: Mapping[str, Any] | None, folder: Path) -> list[Section]:
    """The section on the confidence of captions, where it was measured."""
    found = evaluation.get("calibration") if evaluation else None
    if not found:
        return []
    figure, axes = plots.new_figure(4.6, 4.2)
    plots.draw_reliability(axes[0], found["bins"])
    plots.save_svg(figure, folder / "fig16_reliability.svg")
    error = found["expected_calibration_error"]
    words = (
        f"How often the first caption is right, over how probable the run says that is: "
        f"{found['windows']} test windows, of whose captions {found['right']:.1%} are right. "
        f"Expected calibration error {error:.3f}. The calibration was fitted on validation windows."
    )
    drawn = page.figure("figures/fig16_reliability.svg", "Fig. 16", words)
    return [Section("trust", "How far captions can be trusted", drawn)]


def _networks(system: DanceLanguage) -> str:
    captions = {
        "fig01_pipeline": "The pipeline. Dashed: frozen.",
        "fig02_motion_vae": "The motion VAE.",
        "fig05_text_encoder": (
            f"The text encoder: {_num_weights(system.run, 'text_encoder'):,} weights are trained; "
            f"those of {system.config.text.model} stay as they are."
        ),
        "fig06_contrastive": "The contrastive projection.",
        "fig07_motion_to_text": "Motion to text.",
        "fig08_text_to_motion": "Text to motion.",
    }
    if system.motion_flow is not None:
        captions["fig15_motion_flow_network"] = (
            f"The motion flow, which is not in the paper: "
            f"{_num_weights(system.run, 'motion_flow', 'network.'):,} weights."
        )
    drawn = [
        page.figure(f"figures/{stem}.svg", f"Fig. {int(stem[3:5])}", words)
        for stem, words in captions.items()
    ]
    return page.paragraph("Sizes are those this run was configured with.") + "".join(drawn)


def _num_weights(run: Run, stage: str, part: str = "") -> int:
    tensors = load_bundle(run.bundle(stage))[0].items()
    return sum(tensor.numel() for name, tensor in tensors if name.startswith(part))


def _clusters(system: DanceLanguage) -> str:
    report = cluster_report(system.run)
    variance = report["pca_variance"]
    points = {"latent": "latents", "descriptors": "kinematic descriptors"}.get(
        system.config.clusters.space, "basis coefficients"
    )
    shown = [
        page.figure(
            "figures/fig03_silhouette.svg",
            "Fig. 3",
            f"Silhouette of K-means on the training windows' {points}, and how alike it "
            f"comes out from {system.config.clusters.num_seeds} seeds.",
        ),
        page.figure(
            "figures/fig04_clusters.svg",
            "Fig. 4",
            f"{points[0].upper()}{points[1:]} in the plane of their first two principal components "
            f"({variance[0]:.0%} and {variance[1]:.0%} of the variance).",
        ),
        page.table(tables.silhouette_table(report, points)),
    ]
    return "".join(shown)

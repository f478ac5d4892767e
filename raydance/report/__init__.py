"""The report of a run: a folder with a page, pictures and animations that needs no network.

It holds what the paper's figures 1-13 and tables I-VI hold, from this run's own figures, and what
the paper lacks: the motion flow, and the evaluation on the test split beside chance and a baseline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError
from raydance.evaluation.comparison import side_by_side
from raydance.evaluation.data import EvaluationData
from raydance.evaluation.measure import losses_against_baseline
from raydance.evaluation.protocol import evaluate
from raydance.files import replacing, write_json
from raydance.report import clips, diagrams, page, plots, tables
from raydance.systems.base import history
from raydance.systems.dance_language.run import DanceLanguage, load
from raydance.training.kept_epoch import checks_of
from raydance.training.run_folder import Run, load_bundle

_MAX_POINTS = 3000
_NUM_WINDOWS = 6
_NUM_SENTENCES = 3


def write_report(
    run_path: str | Path,
    out_dir: str | Path,
    dataset_path: str | Path | None = None,
    *,
    paper_run: str | Path | None = None,
    generated: Sequence[str] = (),
    result: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the report of a finished run.

    Args:
        dataset_path: the run's own by default; without it there is no evaluation.
        paper_run: a run with the paper's choices, laid beside.
        generated: sentences to generate motion from; some test captions by default.
        result: an evaluation made before (`side_by_side`), instead of evaluating now.

    Returns:
        The page, `out_dir/index.html`.

    Raises:
        ArtifactError: a run that is not finished or damaged.
        InputError: a dataset that the run cannot be evaluated on.
    """
    system = load(run_path)
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    place = Path(dataset_path or system.run.facts["dataset"]["path"])
    # A run is complete without its data; the report then says what it could not measure.
    dataset = None
    if dataset_path is not None or place.exists():
        dataset = Dataset.open(place)
    if result is None and dataset is not None:
        say("report: evaluates")
        result = _evaluate(run_path, paper_run, place)
    if result is not None:
        write_json(out / "evaluation.json", result)
    say("report: draws")
    write_figures(system, out / "figures")
    evaluation = result["evaluations"][result["columns"][-1]] if result else None
    sentences = list(generated) or _sentences(system, evaluation)
    windows = clips.windows_to_show(system, dataset, _NUM_WINDOWS)
    rebuilt = clips.draw_reconstructions(system, windows, out / "motion")
    made = clips.draw_generated(system, dataset, sentences, out / "motion")
    sections = [
        ("results", "Results on the test split", _results(result, place)),
        ("generated", "Motion from sentences", page.animations(made, "motion")),
        ("reconstructed", "Real and reconstructed motion", page.animations(rebuilt, "motion")),
        *([("found", "Captions found", _found(evaluation))] if evaluation else []),
        *_trust(evaluation, out / "figures"),
        ("networks", "The pipeline and its networks", _networks(system)),
        ("clusters", "Clusters", _clusters(system)),
        ("training", "Training", _training(system.run)),
        ("about", "Configuration and provenance", _about(system)),
    ]
    file = out / "index.html"
    with replacing(file) as temporary:
        temporary.write_text(
            page.page("Dance-Language: report of a run", _lead(system, evaluation), sections),
            encoding="utf-8",
        )
    return file


def _evaluate(run_path: str | Path, paper_run: str | Path | None, dataset: Path) -> dict[str, Any]:
    data = EvaluationData.read(dataset)
    runs = ({"paper preset": paper_run} if paper_run is not None else {}) | {"this run": run_path}
    return side_by_side({name: evaluate(path, data=data) for name, path in runs.items()})


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
    checks = checks_of(system.run.config)
    for stage in tables.stages_of(system.run):
        number = tables.STAGES[stage][1]
        figure, axes = plots.new_figure(10.4, 3.3, columns=2)
        plots.draw_losses(axes, stage, history(system.run, stage), checks[stage])
        file = folder / f"fig{int(number.split()[-1]):02d}_{stage}.svg"
        plots.save_svg(figure, file)
        files.append(file)
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


def is_synthetic(system: DanceLanguage) -> bool:
    """Whether the library holds the procedural dancer's clips."""
    return any('"synthetic"' in (labels or "") for labels in system.library.windows["labels"])


def _lead(system: DanceLanguage, evaluation: Mapping[str, Any] | None) -> str:
    steps = system.run.facts["steps"]
    about = [f"{len(system.library.cluster)} windows, {len(system.captions.texts)} captions"]
    about.append(f"seed {system.run.facts['seed']}")
    about.append(f"raydance {system.run.facts['packages']['raydance']}")
    lead = page.paragraph(f"{system.run.path.name}: {'; '.join(about)}.", "soft")
    boxes = []
    if is_synthetic(system):
        boxes.append(
            "The data are a procedural dancer's, not recordings of people. Every real motion "
            "here is the output of a program; the figures say that the system works, not how "
            "well it would work on people."
        )
    if steps.get("captions", {}).get("derived"):
        boxes.append(
            "Some windows had no caption. Descriptions derived from kinematics stand in for "
            "their clusters; nobody wrote them."
        )
    return lead + (page.warning(boxes) if boxes else "")


def _results(result: Mapping[str, Any] | None, place: Path) -> str:
    if result is None:
        return page.paragraph(
            f"Not measured: the dataset {place} is not there. Give it to write the figures."
        )
    about = result["evaluations"][result["columns"][-1]]
    lost, other = (
        losses_against_baseline([row for row in result["rows"] if row["is_main"] is is_main])
        for is_main in (True, False)
    )
    hint = f", {len(other)} of them not better than the baseline" if other else ""
    lines = [
        page.paragraph(
            f"{about['windows']} windows of {about['recordings']} recordings, none of which is "
            f"among the {about['training_recordings']} trained on. {about['num_labels']} names of "
            f"movements (by {about['label']}). Generation takes the motion latent from: "
            f"{about['source']}."
        ),
        page.paragraph(
            "Chance draws at random (for reconstruction: the mean pose). The baseline learns "
            "nothing: nearest neighbours on kinematic features, sentences by a frozen encoder; "
            "for generation it copies a real window, so its motion is natural by construction."
        ),
        page.measures(result, is_main=True),
        "<h3>Where the learned system does not beat the baseline</h3>",
        page.items(lost) if lost else page.paragraph("Nowhere in this table."),
        f"<details><summary>All other figures{hint}</summary>",
        page.measures(result, is_main=False),
        page.items(other) if other else "",
        "</details>",
    ]
    if about["notes"]:
        lines.append(page.items(about["notes"]))
    return "".join(lines)


def _found(evaluation: Mapping[str, Any]) -> str:
    words = "One test window of each movement; the captions were found among those of training."
    return page.paragraph(words) + page.examples(evaluation["examples"])


def _trust(evaluation: Mapping[str, Any] | None, folder: Path) -> list[tuple[str, str, str]]:
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
    return [("trust", "How far captions can be trusted", drawn)]


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


def _training(run: Run) -> str:
    parts = []
    for stage in tables.stages_of(run):
        title, number, _ = tables.STAGES[stage]
        lines = history(run, stage)
        rate = float(np.median([line["windows_per_s"] for line in lines]))
        parts.append(f"<h3>{page.text(title)}</h3>")
        file = f"figures/fig{int(number.split()[-1]):02d}_{stage}.svg"
        words = f"Losses over {len(lines)} epochs; the dot marks the weights kept. "
        parts.append(page.figure(file, number, f"{words}{rate:,.0f} windows a second."))
        parts.append(page.table(tables.stage_table(run, stage)))
    warned = warnings_of(run)
    parts.append("<h3>Warnings raised in training</h3>")
    parts.append(page.items(warned) if warned else page.paragraph("None."))
    return "".join(parts)


def warnings_of(run: Run) -> list[str]:
    """What stages warned of, with stage and epoch."""
    out = [f"clusters: {w}" for w in cluster_report(run)["warnings"]]
    for stage in tables.stages_of(run):
        for line in history(run, stage):
            out += [f"{stage}, epoch {line['epoch'] + 1}: {w}" for w in line.get("warnings", ())]
    return out


def _about(system: DanceLanguage) -> str:
    facts = system.run.facts
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    try:
        counts = Dataset.open(facts["dataset"]["path"]).manifest["counts"]
        data = "; ".join(
            f"{split} {c['windows']} windows of {c['recordings']} recordings"
            for split, c in counts.items()
        )
    except ArtifactError:
        data = "not there any more"
    dataset = facts["dataset"]
    lines = [
        f"dataset {dataset['hash']}: {data}",
        f"windows of {dataset['window']} frames, stride {dataset['stride']}, "
        f"{dataset['fps']:g} frames a second",
        f"versions: {versions}",
    ]
    config = page.text(json.dumps(system.run.config, indent=1))
    return page.items(lines) + (
        f'<details><summary>The resolved configuration</summary><div class="card"><pre>{config}'
        "</pre></div></details>"
    )

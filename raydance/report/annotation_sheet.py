"""The annotation sheet: the exemplars of each cluster to look at, and a file for their words.

Dance-Language, section II.C: nine sequences (three nearest to each centroid) are looked at, and
what is written about a cluster is applied to all its members. Training again does that.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError
from raydance.files import replacing
from raydance.motion.render import render_gif
from raydance.report import page
from raydance.report.section import Animation
from raydance.systems.dance_language.caption_step import (
    annotations_path,
    cluster_names,
    derived_descriptions,
    read_annotations,
    written_for,
)
from raydance.training.run_folder import Run, load_bundle

_HEADER = """\
# What the dancers do in each cluster. Look at index.html beside this file, then write one or more
# sentences under `descriptions` of each cluster, and run the same `raydance train` again: they
# then describe every window of the cluster. `derived` was computed from kinematics; nobody wrote
# it, and it stands in only where a clip has no caption and you write nothing.
"""


def write_sheet(run_path: str | Path) -> Path:
    """Write the sheet of a run whose clusters are found; keeps descriptions written before.

    Returns:
        The page to look at, `RUN/annotation/index.html`; `annotations.yaml` is beside it.

    Raises:
        ArtifactError: not a run, or its clusters are not found yet.
        InputError: a sheet that is there but not readable.
    """
    run = Run.open(run_path)
    if "clusters" not in run.facts["steps"]:
        raise ArtifactError(f"{run.path}: no clusters yet; run `raydance train` first")
    tensors, facts = load_bundle(run.bundle("clusters"))
    file = annotations_path(run)
    file.parent.mkdir(parents=True, exist_ok=True)
    clusters = tensors["exemplar_cluster"].numpy()
    derived = _derived(run)
    rows: dict[int, dict[str, Any]] = {
        int(c): {
            "derived": derived.get(int(c), []),
            "exemplars": [facts["exemplar_ids"][i] for i in np.flatnonzero(clusters == c)],
            "descriptions": [],
        }
        for c in np.unique(clusters)
    }
    _keep_written(rows, file)
    shown = _draw(run, tensors, facts["exemplar_ids"], file.parent)
    names = cluster_names(run)
    sections = [
        (f"cluster{c}", _title(c, names), _section(rows[c], shown[c], facts["report"]["sizes"][c]))
        for c in rows
    ]
    lead = page.paragraph(
        f"The windows nearest to each cluster's centre. Write what you see into {file.name}, "
        "beside this page, under `descriptions`, and train again."
    )
    text = page.page(f"Clusters of {run.path.name}", lead, sections)
    sheet = file.parent / "index.html"
    with replacing(sheet) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return sheet


def _derived(run: Run) -> dict[int, list[str]]:
    """What kinematics say, where the dataset is still there to compare with."""
    try:
        dataset = Dataset.open(run.facts["dataset"]["path"])
    except ArtifactError:
        return {}
    return derived_descriptions(run, dataset)


def _keep_written(rows: dict[int, dict[str, Any]], file: Path) -> None:
    """Write the YAML file with what a person wrote before.

    Clusters that were found anew may be numbered anew: words that were written for other exemplars
    are put aside with a warning, rather than lost or given to the wrong cluster.
    """
    written = read_annotations(file)
    if written:
        exemplars = {cluster: row["exemplars"] for cluster, row in rows.items()}
        for cluster, words in written_for(file, exemplars).items():
            rows[cluster]["descriptions"] = words
        kept = sum(bool(row["descriptions"]) for row in rows.values())
        if kept < len(written):
            aside = _free(file)
            file.rename(aside)
            warnings.warn(
                f"{file}: descriptions of {len(written) - kept} clusters were written for other "
                f"exemplars than now; the old sheet is {aside.name}",
                stacklevel=3,
            )
    text = _HEADER + yaml.safe_dump({"clusters": rows}, allow_unicode=True, width=96)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _free(file: Path) -> Path:
    """A name beside `file` that is not taken."""
    number = 1
    while (aside := file.with_name(f"{file.stem}.old{number}{file.suffix}")).exists():
        number += 1
    return aside


def _draw(
    run: Run, tensors: dict[str, Any], names: list[str], folder: Path
) -> dict[int, list[Animation]]:
    out: dict[int, list[Animation]] = {}
    for i, name in enumerate(names):
        cluster = int(tensors["exemplar_cluster"][i])
        file = f"cluster{cluster}_{len(out.setdefault(cluster, []))}.gif"
        render_gif(
            folder / file,
            tensors["exemplar_motion"][i].numpy(),
            fps=float(run.facts["dataset"]["fps"]),
            size=(240, 260),
            joint_mask=tensors["exemplar_mask"][i].numpy(),
        )
        out[cluster].append(Animation(file=file, title=name, text=f"cluster {cluster}"))
    return out


def _title(cluster: int, names: dict[int, str]) -> str:
    name = names.get(cluster)
    return f"Cluster {cluster}: {name}" if name else f"Cluster {cluster}"


def _section(row: dict[str, Any], shown: list[Animation], size: int) -> str:
    words = [page.paragraph(f"{size} training windows.", "soft")]
    if row["descriptions"]:
        words += [page.paragraph("Written:"), page.items(row["descriptions"])]
    elif row["derived"]:
        words += [
            page.paragraph("Derived from kinematics, written by nobody:", "soft"),
            page.items(row["derived"]),
        ]
    return "".join(words) + page.animations(shown, ".")

"""The annotation sheet: what it shows, what it keeps, and what training makes of it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from raydance.data.dataset import Dataset
from raydance.errors import ArtifactError, InputError
from raydance.report import annotation_sheet
from raydance.report.annotation_sheet import write_sheet
from raydance.systems.dance_language.caption_step import (
    annotations_path,
    collect_captions,
    read_annotations,
)
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.engine import Plan
from raydance.training.run_folder import Run, load_bundle


@pytest.fixture
def painted_run(tiny_run, tmp_path):
    """A run that may be changed."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def run(painted_run, monkeypatch):
    """`painted_run`, for tests of words: its sheet's pictures, which take long, are not drawn."""
    monkeypatch.setattr(annotation_sheet, "render_gif", lambda *what, **options: None)
    return painted_run


def write_words(run, cluster, words):
    file = annotations_path(Run.open(run))
    data = yaml.safe_load(file.read_text())
    data["clusters"][cluster]["descriptions"] = words
    file.write_text(yaml.safe_dump(data))


def test_the_sheet_shows_every_exemplar_by_cluster(painted_run):
    run = painted_run
    sheet = write_sheet(run)
    page = sheet.read_text()
    facts = load_bundle(Run.open(run).bundle("clusters"))[1]
    pictures = re.findall(r'<img src="([^"]+)"', page)
    assert len(pictures) == len(set(pictures)) == len(facts["exemplar_ids"])
    assert all((sheet.parent / name).stat().st_size > 1000 for name in pictures)
    data = yaml.safe_load(annotations_path(Run.open(run)).read_text())["clusters"]
    assert sorted(data) == list(range(facts["report"]["num_clusters"]))
    assert [e for c in sorted(data) for e in data[c]["exemplars"]] == facts["exemplar_ids"]
    assert all(row["derived"] and row["descriptions"] == [] for row in data.values())
    assert "written by nobody" in page


def dataset_of(run: Path) -> Dataset:
    return Dataset.open(Run.open(run).facts["dataset"]["path"])


def test_an_empty_sheet_changes_nothing_and_words_do(run):
    def mark() -> str:
        return Plan.of(SYSTEM, Run.open(run)).mark("captions")

    before = mark()
    write_sheet(run)
    assert read_annotations(annotations_path(Run.open(run))) == {}
    assert mark() == before
    write_words(run, 1, ["sudden stops", "  ", "sharp edges"])
    assert mark() != before
    found = collect_captions(Run.open(run), dataset_of(run))
    assert [found.texts[i] for i in found.of_cluster[1]] == ["sudden stops", "sharp edges"]
    assert found.written[1] and not found.written[0]


def test_the_command_says_that_words_join_captions(run, call):
    """`_ids` gives them to every member, also to one with captions of its own."""
    assert "beside the captions that it has of its own" in " ".join(
        call("annotate", "--help")[1].split()
    )


def test_words_are_kept(run):
    write_sheet(run)
    write_words(run, 0, ["flows & turns <slowly>"])
    sheet = write_sheet(run)
    file = annotations_path(Run.open(run))
    assert read_annotations(file) == {0: ["flows & turns <slowly>"]}
    assert "flows &amp; turns &lt;slowly&gt;" in sheet.read_text()
    assert "<slowly>" not in sheet.read_text()
    text = file.read_text()
    write_sheet(run)
    assert file.read_text() == text


def test_words_for_other_exemplars_are_put_aside(run):
    write_sheet(run)
    file = annotations_path(Run.open(run))
    data = yaml.safe_load(file.read_text())
    data["clusters"][0] |= {"descriptions": ["old"], "exemplars": ["elsewhere@0"]}
    data["clusters"][1]["descriptions"] = ["kept"]
    file.write_text(yaml.safe_dump(data))
    with pytest.warns(UserWarning, match="are not used"):
        found = collect_captions(Run.open(run), dataset_of(run))
    assert found.written[1] and not found.written[0] and "old" not in found.texts
    with pytest.warns(UserWarning, match="other exemplars"):
        write_sheet(run)
    assert read_annotations(file) == {1: ["kept"]}
    assert "old" in (file.parent / "annotations.old1.yaml").read_text()


def test_without_its_data_the_sheet_has_no_derived_words(run):
    record = Run.open(run)
    record.facts["dataset"]["path"] = str(run / "nowhere")
    record.save_facts()
    write_sheet(run)
    data = yaml.safe_load(annotations_path(record).read_text())["clusters"]
    assert all(row["derived"] == [] for row in data.values())


def test_a_run_without_clusters_and_a_broken_sheet_are_refused(run):
    write_sheet(run)
    annotations_path(Run.open(run)).write_text("clusters: 3")
    with pytest.raises(InputError, match="not an annotation sheet"):
        write_sheet(run)
    record = Run.open(run)
    del record.facts["steps"]["clusters"]
    record.save_facts()
    with pytest.raises(ArtifactError, match="no clusters yet"):
        write_sheet(run)

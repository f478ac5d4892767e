"""The report: whole, self-contained, honest, and safe against what strangers wrote."""

from __future__ import annotations

import json
import re
import typing
import xml.etree.ElementTree as ElementTree

import pytest

from raydance import quickstart
from raydance.config import to_dict
from raydance.report import clips, diagrams, page, plots, tables, warnings_of, write_report
from raydance.report.section import Animation
from raydance.stages.contrastive import ContrastiveConfig
from raydance.systems.base import LocalRunner, history
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.shared_steps import copy_steps
from raydance.training.run_folder import Run, load_bundle


@pytest.fixture(scope="module")
def report(tiny_run, tmp_path_factory):
    return write_report(tiny_run, tmp_path_factory.mktemp("report"), generated=["a slow <turn>"])


def test_every_link_of_the_page_leads_somewhere_in_its_folder(report):
    text = report.read_text()
    links = re.findall(r'(?:src|href)="([^"]+)"', text)
    files = [link for link in links if not link.startswith("#")]
    assert len(files) > 15
    for link in files:
        assert (report.parent / link).is_file() and not link.startswith("/"), link
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text
    assert "<script" not in text and "http" not in text


def test_all_figures_and_tables_are_there(report):
    text = report.read_text()
    for number in range(1, 16):  # the paper's, and the flow's losses beside its network
        assert f"<b>Fig. {number}.</b>" in text, number
    for number in ("I", "II", "III", "IV", "V", "VI"):
        assert f"Table {number}. " in text, number
    assert "<h3>Motion flow</h3>" in text
    assert "kinematic descriptors in the plane" in text.lower()
    for file in sorted((report.parent / "figures").glob("*.svg")):
        root = ElementTree.fromstring(file.read_text())
        assert root.tag.endswith("svg") and "prefers-color-scheme" in file.read_text()


def test_the_report_is_honest(report):
    text = report.read_text()
    assert "procedural dancer" in text and "not recordings of people" in text
    assert "does not beat the baseline" in text and "chance" in text
    assert "comes out from 2 seeds" in text
    for number in ("0.4594", "0.2277", "0.181", "620"):
        assert f"<td>{number}</td>" not in text  # the paper's, never ours
    assert json.loads((report.parent / "evaluation.json").read_text())["columns"] == ["this run"]


def test_the_report_counts_the_weights_trained_over_the_sentence_encoder(report):
    # 387 values of MiniLM and sides, 32 hidden, 16 latent: (387 + 1) 32 + (32 + 1) 16 + 2 16.
    assert "12,976 weights are trained; those of minilm stay" in report.read_text()


def test_a_sentence_is_text_and_not_markup(report):
    text = report.read_text()
    assert "a slow &lt;turn&gt;" in text and "<turn>" not in text
    evil = '"><script>alert(1)</script>'
    shown = page.animations([Animation(file=evil, title=evil, text=evil)], "motion")
    shown += page.examples(
        [
            {
                "name": evil,
                "captions": [evil],
                "found": [{"text": evil, "score": 0.5, "names": evil, "derived": False}],
            }
        ]
    )
    assert "<script" not in shown


def test_without_its_data_a_run_still_has_a_report(tiny_run, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(clips, "render_gif", lambda *what, **options: None)  # takes long
    run = Run.open(shutil.copytree(tiny_run, tmp_path / "run"))
    run.facts["dataset"]["path"] = str(tmp_path / "nowhere")
    run.save_facts()
    text = write_report(run.path, tmp_path / "out", generated=["a jump"]).read_text()
    assert "Not measured" in text and "reconstruction_0.gif" in text and "Fig. 13" in text


def test_tables_hold_the_epochs_that_were_run():
    lines = [
        {
            "epoch": epoch,
            "epochs": 15,
            "train": {"total": 2.0 - epoch / 100},
            "validation": {"total": abs(epoch - 11) / 10 + 1},
        }
        for epoch in range(15)
    ]
    table = tables.loss_table("motion_to_text", lines, 1)
    assert [row[0] for row in table.rows] == ["1", "2", "3", "5", "7", "10", "12 (kept)", "15"]
    assert table.rows[6] == ("12 (kept)", "1.89", "1")
    table = tables.loss_table("text_encoder", lines, 10)  # checked in epochs 10 and 15
    assert [row[0] for row in table.rows] == ["1", "10 (kept)", "15"]


def vae_lines(*totals: float):
    return [
        {
            "epoch": epoch,
            "epochs": len(totals),
            "train": {"total": 2.0, "kl": 0.3},
            "validation": {"total": total, "kl": epoch / 10},
        }
        for epoch, total in enumerate(totals)
    ]


def test_the_vae_table_shows_the_epoch_kept_and_promises_what_its_equation_keeps():
    table = tables.vae_table(vae_lines(3.0, 1.0, 2.0, 4.0), 3)
    assert table.rows[0] == ("Total loss, eq. 8", "2", "2") and table.rows[1][2] == "0.2"
    assert table.rows[1][0] == "KL, eq. 7 mended" and table.note.startswith("Epoch 3 of 4.")
    assert "never negative" in table.note
    literal = tables.vae_table(vae_lines(3.0), 1, literal_eq7=True)
    assert literal.rows[1][0] == "KL, eq. 7 as printed" and "never" not in literal.note
    lost = tables.vae_table(vae_lines(float("nan"), float("nan")), 1)
    assert "no epoch was kept" in lost.note and lost.rows[0][2] == "-"


def test_the_dot_is_on_the_epoch_kept():
    for totals, kept in (((3.0, 1.0, 2.0, 4.0), [3]), ((float("nan"),), None)):
        _, axes = plots.new_figure(3, 2)
        plots.draw_losses(axes, "motion_vae", vae_lines(*totals), 3)
        dots = [drawn for drawn in axes[0].get_lines() if drawn.get_marker() == "o"]
        assert [list(dot.get_xdata()) for dot in dots] == ([kept] if kept else [])


def test_diagrams_show_the_configured_sizes():
    config = SYSTEM.resolve("paper", ["motion_vae.hidden=123", "motion_vae.latent=256"])
    drawn = diagrams.motion_vae(config, 99)
    assert "150 to 123" in drawn and "123 to 2 x 256" in drawn and "LSTM" in drawn
    assert "Triplet, eq. 14" in diagrams.contrastive(config, 384, 99)
    assert "InfoNCE" in diagrams.contrastive(SYSTEM.resolve("default"), 387, 99)
    for loss in typing.get_args(typing.get_type_hints(ContrastiveConfig)["loss"]):
        changes = [f"contrastive.loss={loss}", "contrastive.text_head=linear"]
        drawn = diagrams.contrastive(SYSTEM.resolve("default", changes), 387, 99)
        assert "387-256" in drawn and "387-256-256" not in drawn
    assert "2-D convolution" in diagrams.motion_vae(
        SYSTEM.resolve("default", ["motion_vae.encoder=conv2d"]), 99
    )
    for preset in ("default", "paper"):
        config = SYSTEM.resolve(preset)
        is_there = preset == "default"
        assert ("basis, 99 coefficients" in diagrams.motion_vae(config, 99)) == is_there
        pipeline = diagrams.pipeline(config, 5, "minilm", 384, 99)
        for block in ("Motion basis", "Motion flow"):
            assert (block in pipeline) == is_there
        assert ("of descriptors" in pipeline) == is_there and ("of latents" in pipeline) != is_there
        ranked = diagrams.motion_to_text(config, 384, 10)
        assert ("in the shared space" in ranked) == is_there
        drawn = diagrams.text_to_motion(config)
        assert ("+ the motion latent" in drawn) == is_there
        assert ("Linear, LayerNorm" in drawn) != is_there
    reads = {
        "both": ("Convolutions", "Basis coefficients"),
        "frames": ("Convolutions",),
        "basis": ("Basis coefficients",),
        "windows": ("trained on",),
        "latent": ("frozen",),
    }
    for kind, words in reads.items():
        config = SYSTEM.resolve("default", [f"contrastive.motion_input={kind}"])
        drawn = diagrams.contrastive(config, 387, 99)
        told = {word for all_words in reads.values() for word in all_words if word in drawn}
        assert told - {"frozen"} == set(words) - {"frozen"}, kind
    flow = diagrams.motion_flow(SYSTEM.resolve("quick"), 387, 99)
    assert "99 to 256" in flow and "387 to 256" in flow and "8 steps, guidance 1.5" in flow
    assert "&lt;model&gt;" in diagrams.text_encoder(config, "<model>", 384)


def test_warnings_name_stage_and_epoch(tiny_run):
    expected = [w for line in history(Run.open(tiny_run), "contrastive") for w in line["warnings"]]
    found = warnings_of(Run.open(tiny_run), SYSTEM.trained)
    assert sum(line.startswith("contrastive, epoch") for line in found) == len(expected)


def test_svg_text_takes_the_readers_colours(tmp_path):
    figure, axes = plots.new_figure(3, 2)
    plots.draw_silhouette(
        axes[0],
        {"silhouette": {"2": 0.3, "3": 0.2}, "stability": {"2": 1.0, "3": 0.9}, "num_clusters": 3},
    )
    plots.save_svg(figure, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "currentColor" in text and "#101112" not in text and "taken: K = 3" in text
    figure, axes = plots.new_figure(3, 2)
    plots.save_png(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


# Quickstart's second run


def test_the_papers_choices_are_as_short_as_the_quick_run():
    quick = SYSTEM.resolve("quick")
    paper = quickstart.paper_choices(quick)
    train = paper.contrastive.train
    assert paper.contrastive.loss == "triplet" and paper.clusters.num_clusters == 3
    assert (train.epochs, train.optimizer) == (quick.contrastive.train.epochs, "sgd")
    assert train.epochs // train.period in (4, 5)  # halved as often as in 250 epochs by 50
    assert paper.motion_vae == quick.motion_vae


def test_the_second_run_takes_over_what_it_would_repeat(tiny_run, tmp_path):
    run = Run.open(tiny_run)
    quick = SYSTEM.config_of(run)
    other = tmp_path / "other"
    copy_steps(
        SYSTEM,
        tiny_run,
        other,
        quickstart.paper_choices(quick),
        quickstart._SHARED_STEPS,
    )
    steps = Run.open(other).facts["steps"]
    assert set(steps) == {"statistics", "motion_basis", "motion_vae"}
    said: list[str] = []
    dataset = run.facts["dataset"]["path"]
    SYSTEM.train(
        other,
        dataset,
        quickstart.paper_choices(quick),
        LocalRunner(),
        only="clusters",
        say=said.append,
    )
    assert said[:4] == [
        "statistics: done before",
        "motion_basis: done before",
        "motion_vae: done before",
        "clusters: begins",
    ]
    # The quick run's clusters are of descriptors, these of latents; neither is changed by both.
    assert load_bundle(Run.open(other).bundle("clusters"))[0]["centroids"].shape[1] == 16
    assert load_bundle(run.bundle("clusters"))[0]["centroids"].shape[1] > 16
    copy_steps(
        SYSTEM,
        tiny_run,
        other,
        quickstart.paper_choices(quick),
        quickstart._SHARED_STEPS,
    )
    assert "clusters" in Run.open(other).facts["steps"]  # work done is not undone
    assert Run.open(other).config == to_dict(quickstart.paper_choices(quick))

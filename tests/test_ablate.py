"""Ablations: claims are well put, verdicts by hand, and a run that leaves tables and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import TINY

from raydance import cli
from raydance import config as configs
from raydance.errors import InputError, RaydanceError
from raydance.systems.dance_language.claims import CLAIMS
from raydance.systems.dance_language.config import PRESETS
from raydance.systems.dance_language.objectives import OBJECTIVES
from raydance.systems.dance_language.system import SYSTEM
from raydance.systems.search import Claim, EpochsToLoss, Figure, nested
from tuning import ablate as driver
from tuning import trial as trials
from tuning import verdicts
from tuning.ablate import ablate

NUM_SEEDS = 2


# The table -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("preset", PRESETS)
def test_variants_are_configurations_that_differ_in_the_steps_trained(name, preset):
    claim = CLAIMS[name]
    assert claim.name == name
    base = SYSTEM.resolve(preset)
    made = [
        configs.merge(base, nested({**claim.common, **values}))
        for values in claim.variants.values()
    ]
    assert all(a != b for i, a in enumerate(made) for b in made[:i])
    keys = {*claim.common, *(key for values in claim.variants.values() for key in values)}
    assert {key.partition(".")[0] for key in keys} <= set(claim.steps)


@pytest.mark.parametrize("name", CLAIMS)
def test_steps_suffice_and_measures_exist(name):
    claim = CLAIMS[name]
    steps = [*claim.shared_steps, *claim.steps]
    assert steps == sorted(set(steps), key=SYSTEM.step_names.index)
    assert all(set(SYSTEM.step(step).needs) <= set(steps) for step in steps)
    assert claim.measures
    for measure in claim.measures:
        if isinstance(measure, Figure):
            assert measure.objective is OBJECTIVES[measure.objective.name]
        else:
            assert measure.stage in claim.steps


@pytest.mark.parametrize("name", CLAIMS)
def test_the_first_variant_is_what_the_paper_does(name):
    claim = CLAIMS[name]
    paper = SYSTEM.resolve("paper")
    first = next(iter(claim.variants.values()))
    assert configs.merge(paper, nested({**claim.common, **first})) == paper


# Verdicts --------------------------------------------------------------------------------------


def test_gains_are_shares_of_the_other():
    assert verdicts.gains([8.0, 12.0], [10.0, 10.0], "minimize") == pytest.approx([0.2, -0.2])
    assert verdicts.gains([8.0, 12.0], [10.0, 10.0], "maximize") == pytest.approx([-0.2, 0.2])


@pytest.mark.parametrize(
    ("found", "at_least", "expected"),
    [
        # Two seeds: the mean's error is 6.31 * |a - b| / 2.
        ([0.50, 0.60], 0.0, "holds"),  # .55 over .32
        ([0.10, 0.60], 0.0, "within noise"),  # .35 under 1.58
        ([-0.50, -0.60], 0.0, "does not hold"),
        ([0.50, 0.60], 0.9, "does not hold"),  # -.35: better, but not by what is claimed
        ([0.50, 0.60], 0.3, "within noise"),  # .25 under .32
        # Three: 2.92 * sd / sqrt(3).
        ([0.1, 0.2, 0.3], 0.0, "holds"),  # .2 over .169
        ([0.0, 0.2, 0.3], 0.0, "within noise"),  # .167 under .258
        ([0.0, 0.0, 0.0], 0.0, "within noise"),  # the very same
        ([0.9], 0.0, "within noise"),  # one seed
    ],
)
def test_verdicts_by_hand(found, at_least, expected):
    assert verdicts.verdict(found, at_least) == expected


def test_a_claim_is_as_good_as_its_worst_comparison():
    assert verdicts.together(["holds", "holds"]) == "holds"
    assert verdicts.together(["holds", "within noise"]) == "within noise"
    assert verdicts.together(["not measured", "within noise"]) == "not measured"
    assert verdicts.together(["holds", "not measured", "does not hold"]) == "does not hold"


def test_epochs_to_a_loss_that_all_reach_by_hand():
    nan = float("nan")
    curves = {"fast": [5.0, 2.0, 3.0, 1.0], "slow": [6.0, 5.0, 4.0, 2.5], "lost": [4.0, 2.0, nan]}
    # The slow one's best, 2.5, is what all can do.
    assert verdicts.epochs_to_common_loss(curves) == {"fast": 2, "slow": 4, "lost": 2}


def claim_of(*measures: Figure | EpochsToLoss) -> Claim:
    return Claim(
        name="colours",
        text="red is better",
        variants={"red": {}, "blue": {}, "green": {}},
        common={},
        shared_steps=(),
        steps=(),
        measures=measures,
    )


def test_a_summary_and_its_table_by_hand():
    claim = claim_of(Figure(objective=OBJECTIVES["reconstruction_cm"], at_least=0.1))
    values = {"red": [8.0, 9.0], "blue": [10.0, 11.0], "green": [7.0, None]}
    summary = verdicts.summarise(claim, [values])
    (table,) = summary["measures"]
    assert [row["mean"] for row in table["rows"]] == [8.5, 10.5, 7.0]
    assert table["rows"][0]["spread"] == pytest.approx(0.5**0.5)
    assert table["rows"][2]["spread"] is None
    blue, green = table["against"]
    assert blue["gains"] == pytest.approx([0.2, 2 / 11]) and blue["verdict"] == "holds"
    # One pair is left: nothing can be told.
    assert green["gains"] == pytest.approx([-1 / 7]) and green["verdict"] == "within noise"
    assert summary["verdict"] == "within noise"
    summary |= {"seeds": [0, 1], "failed": ["green, seed 1: diverged"], "made_with": "2 windows."}
    text = verdicts.as_markdown(summary)
    assert "| green | 7 | - | 7 | - |" in text
    assert "- red against blue: 19.1 % better (10.0 % better is claimed): **holds**" in text
    assert "Failed: green, seed 1: diverged" in text
    assert verdicts.as_line(summary).startswith(
        "colours: within noise (19.1 % better than blue, 14.3 % worse"
    )


def test_without_figures_nothing_is_said():
    claim = claim_of(Figure(objective=OBJECTIVES["mrr"]))
    summary = verdicts.summarise(claim, [{"red": [None], "blue": [0.5], "green": [None]}])
    assert summary["verdict"] == "not measured"
    assert verdicts.as_line(summary) == "colours: not measured (no figures)"


# Runs ------------------------------------------------------------------------------------------


def run(name: str, data: Path, out: Path, **options):
    settings = {"preset": "quick", "overrides": list(TINY), "num_seeds": NUM_SEEDS} | options
    return ablate(name, data, out, **settings)


@pytest.fixture(scope="module")
def hybrid(tiny_dataset, tmp_path_factory):
    """One claim put to the test: its folder, its summary and what was said."""
    out = tmp_path_factory.mktemp("ablate") / "out"
    said: list[str] = []
    (summary,) = run("hybrid", tiny_dataset, out, say=said.append)
    return out, summary, said


def test_a_claim_leaves_its_tables(hybrid):
    out, summary, said = hybrid
    assert json.loads((out / "hybrid.json").read_text()) == summary
    assert (out / "hybrid.md").read_text() == verdicts.as_markdown(summary)
    (table,) = summary["measures"]
    values = [row["values"] for row in table["rows"]]
    assert len(values) == 3 and all(len(own) == NUM_SEEDS for own in values)
    assert all(0 < value <= 1 for own in values for value in own)
    assert values[0][0] != values[0][1]  # seeds differ
    assert "text_encoder.alpha" not in summary["made_with"] and "Seeds: 2" in summary["made_with"]
    assert len(said) == 1 + 3 * NUM_SEEDS + 1
    # The shared steps are trained once for each seed, and linked.
    inodes = {p.stat().st_ino for p in out.glob("*/*/stages/motion_vae.safetensors")}
    assert len(inodes) == NUM_SEEDS


def test_the_same_command_repeats_nothing(hybrid, tiny_dataset, monkeypatch):
    out, summary, _ = hybrid
    monkeypatch.setattr(driver, "carry_out", lambda work: pytest.fail(f"repeats {work.out}"))
    assert run("hybrid", tiny_dataset, out) == [summary]


def test_what_is_missing_is_done_and_no_more(hybrid, tiny_dataset, monkeypatch):
    out, summary, _ = hybrid
    lost = next((out / "variants").glob("*/figures.json"))
    lost.unlink()
    done: list[Path] = []

    def carry_out(work: trials.Work) -> dict[str, float]:
        done.append(work.out)
        return trials.carry_out(work)

    monkeypatch.setattr(driver, "carry_out", carry_out)
    monkeypatch.setattr(
        "raydance.systems.base.LocalRunner.fit", lambda *_: pytest.fail("trained again")
    )
    assert run("hybrid", tiny_dataset, out) == [summary]
    assert len(done) == 2 and done[1] == lost.parent  # its seed's shared steps, and itself


def test_epochs_are_compared_and_a_variant_like_the_shared_run_costs_nothing(
    hybrid, tiny_dataset, monkeypatch
):
    out, _, _ = hybrid
    trained: list[str] = []
    from raydance.systems.base import FitTask, LocalRunner

    fit = LocalRunner.fit

    def counted(self: LocalRunner, task: FitTask) -> None:
        trained.append(task.stage)
        fit(self, task)

    monkeypatch.setattr(LocalRunner, "fit", counted)
    (summary,) = run("schedule", tiny_dataset, out)
    assert trained == ["motion_vae"] * NUM_SEEDS  # OneCycle is what the shared run has
    (table,) = summary["measures"]
    assert table["at_least"] == 0.3
    for seed in range(NUM_SEEDS):
        epochs = [row["values"][seed] for row in table["rows"]]
        assert all(epoch in (1, 2) for epoch in epochs)


def test_a_variant_that_fails_is_told_and_tried_again(hybrid, tiny_dataset, monkeypatch):
    out, _, _ = hybrid

    def fails_for_linear(work: trials.Work) -> dict[str, float]:
        if work.config.contrastive.text_head == "linear":
            raise RaydanceError("the training diverged")
        return trials.carry_out(work)

    with monkeypatch.context() as patch:
        patch.setattr(driver, "carry_out", fails_for_linear)
        (summary,) = run("symmetry", tiny_dataset, out)
    assert summary["verdict"] == "not measured" and len(summary["failed"]) == NUM_SEEDS
    assert summary["failed"][0] == ("symmetry, one linear text head, seed 0: the training diverged")
    (summary,) = run("symmetry", tiny_dataset, out)
    assert summary["failed"] == [] and summary["verdict"] != "not measured"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("colours", {}, "claim 'colours'; known: all, mix, "),
        ("hybrid", {"num_seeds": 0}, "--seeds 0; at least 1"),
        ("hybrid", {"epochs": 0}, "--epochs 0; at least 1"),
        ("hybrid", {"parallel": 0}, "--parallel 0; at least 1"),
        ("hybrid", {"preset": "paper"}, "begun with another --preset"),
        ("hybrid", {"overrides": [*TINY, "seed=3"]}, "vary the seed themselves"),
        ("hybrid", {"overrides": TINY[:-1], "epochs": 3}, "begun with another --set or --epochs"),
        ("hybrid", {"overrides": ["text_encoder.alpha=1"]}, "the claim hybrid sets text_encoder"),
        ("all", {"overrides": ["motion_vae.mse_weight=1"]}, "the claim mix sets motion_vae"),
    ],
)
def test_mistakes_are_refused(hybrid, tiny_dataset, name, options, message):
    with pytest.raises(InputError, match=message):
        run(name, tiny_dataset, hybrid[0], **options)


def test_a_folder_of_something_else_is_refused(tiny_dataset, tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and not a folder of ablations"):
        run("hybrid", tiny_dataset, tmp_path)


def test_the_command_prints_tables_or_json(hybrid, tiny_dataset, capsys):
    out, summary, _ = hybrid
    sets = [part for change in TINY for part in ("--set", change)]
    command = ["ablate", "hybrid", "--data", str(tiny_dataset), "--out", str(out), "--preset"]
    command += ["quick", "--seeds", str(NUM_SEEDS), "--quiet", *sets]
    for options, expected in (([], verdicts.as_markdown(summary)), (["--json"], None)):
        with pytest.raises(SystemExit) as stopped:
            cli.main([*command, *options])
        printed = capsys.readouterr().out
        assert stopped.value.code == 0
        assert printed == expected if expected else json.loads(printed) == [summary]


@pytest.mark.ray
def test_variants_run_side_by_side_through_ray(ray_cluster, tiny_dataset, tmp_path):
    (summary,) = run("distance", tiny_dataset, tmp_path / "out", parallel=2, num_seeds=1)
    assert summary["failed"] == []
    assert all(None not in row["values"] for row in summary["measures"][0]["rows"])

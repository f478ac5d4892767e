"""Tables 1 to 5 of Everything2Motion by one command, on a few made dances with captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_dataset import ingest_here

from raydance.data.ingest import Settings
from raydance.music.dance_corpus import write_dances
from raydance.report.everything2motion_tables import NEEDED
from raydance.report.paper_tables import as_markdown
from raydance.report.tables import Table
from raydance.systems.everything2motion.system import SYSTEM
from raydance.systems.everything2motion.variants import LATENTS, WITHOUT_PMD, variants_of
from raydance.text.encoder import TextConfig, load_text_encoder
from raydance.training.run_folder import Run

TINY = [
    "sequence_flow.width=16",
    "sequence_flow.num_blocks=1",
    "sequence_flow.train.epochs=1",
    "sequence_regression.width=16",
    "sequence_regression.layers=1",
    "sequence_regression.train.epochs=1",
    *(
        f"sequence_regression.conditioning.{kind}.{name}={size}"
        for kind in ("text", "music")
        for name, size in (("width", 8), ("latents", 8), ("latent_width", 8), ("self_layers", 1))
    ),
    "motion_prior.width=16",
    "motion_prior.latent=16",
    "motion_prior.train.epochs=1",
    "patch_basis.most=12",
    "texts.tokens=8",
]
JUDGE = [
    "text_motion_evaluator.channels=8",
    "text_motion_evaluator.width=16",
    "text_motion_evaluator.outputs=4",
    "text_motion_evaluator.train.epochs=1",
    "texts.tokens=4",
]


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_dances(folder / "dances", 24, 6.0)
    captions = folder / "dances" / "captions.jsonl"
    rows = [json.loads(line) for line in captions.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["split"] = ("train", "test", "train", "val", "train", "test")[number % 6]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = Settings(whole_clips=True, window=120, music=str(folder / "dances"))
    return ingest_here([folder / "dances"], [captions], folder / "data", settings)


def test_one_command_makes_all_tables_and_resumes(dances: Path, call: Any) -> None:
    out = dances.parent / "tables"
    arguments = ["tables", "--data", str(dances), "--out", str(out), "--local", "--json"]
    arguments += ["--preset", "quick"]
    arguments += [part for change in TINY for part in ("--set", change)]
    judged = ["--replications", "2"]
    judged += [part for change in JUDGE for part in ("--set-evaluator", change)]
    code, printed, told = call(*arguments, *judged)
    assert code == 0, told
    found = {table["number"]: table for table in json.loads(printed)}
    assert sorted(found) == ["1", "2", "3", "4", "5"]
    assert {Run.open(path).facts["system"] for path in out.glob("*/")} == {
        "evaluator",
        "everything2motion",
    }
    for number, table in found.items():
        assert all(len(row) == len(table["header"]) for row in table["rows"]), number
    first = {row[0]: row[1:] for row in found["1"]["rows"]}
    assert [name for name in first if "real" in name or "chance" in name or "copies" in name]
    assert first["real test clips"][-1] == "-" and " ± " in first["E2M, preset paper"][0]
    # The paper's preset is deterministic as printed.
    header = found["1"]["header"]
    assert first["E2M, preset paper"][header.index("MModality") - 1] == "0.000 ± 0.000"
    assert first["E2M, own preset"] != first["E2M, preset paper"]
    assert len(found["5"]["rows"]) == 2 + len(LATENTS) + 1
    shapes = {
        tuple(text[name] for name in ("latents", "latent_width"))
        for path in out.glob("*_x_*")
        for text in [Run.open(path).config["sequence_regression"]["conditioning"]["text"]]
    }
    assert shapes == set(LATENTS)
    # Printed numbers only where the quantity compares: times; nothing of AIST++ is in these data.
    assert {number for number, table in found.items() if "paper" in " ".join(table["header"])} == {
        "3"
    }
    assert {row[-1] for row in found["3"]["rows"]} == {"0.0904", "0.0384"}
    assert "Table 2. Music to dance" in (out / "tables.md").read_text(encoding="utf-8")
    code, _, told = call(*arguments, "--only", "3", "--quiet")
    assert code == 0, told
    for options, message in (
        (["--only", "2,3", "--replications", "2"], "--replications: only for --only 1,4,5"),
        (["--only", "4"], "--preset: only for --only 1,2,3"),
        (["--evaluator", str(out / "evaluator"), *judged], "--set-evaluator: for the evaluator"),
    ):
        code, _, told = call(*arguments, *options)
        assert code == 2 and message in told
    code, _, told = call(
        "tables", "--data", str(dances), "--out", str(out), "--only", "6", "--local"
    )
    assert code == 2 and "--only 6; allowed: 1,2,3,4,5" in told


def test_variants_change_what_the_paper_changed() -> None:
    variants = variants_of("quick")
    assert set().union(*NEEDED.values()) == set(variants)
    made = {name: variant.config(SYSTEM) for name, variant in variants.items()}
    assert "motion_prior" not in SYSTEM.steps_of(made[WITHOUT_PMD])
    text = made["64 x 128"].sequence_regression.conditioning.text
    assert (text.latents, text.latent_width) == (64, 128)
    assert len({repr(config) for config in made.values()}) == len(made)


def test_an_encoder_without_training_knows_no_words() -> None:
    trained, random = (load_text_encoder(TextConfig(pretrained=known)) for known in (True, False))
    assert trained.name != random.name and trained.dim == random.dim
    words = ["a person walks", "someone is walking", "a somersault"]
    near, far = trained.encode(words) @ trained.encode(words)[0], random.encode(words)
    assert near[1] > near[2] + 0.2
    assert (far == load_text_encoder(TextConfig(pretrained=False)).encode(words)).all()


def test_a_table_is_written_as_markdown() -> None:
    table = Table(number="4", title="T", header=("", "FID"), rows=(("real", "1.0"),), note="N.")
    assert as_markdown(table).splitlines()[2:5] == ["|  | FID |", "|---|---|", "| real | 1.0 |"]

"""The README and the pages in docs/: commands parse, names and paths exist, examples run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import typer
from command_line import NAMES, understand
from small_dataset import ingest_here

from raydance import cli
from raydance.data.dataset import Dataset
from raydance.errors import FormatError
from raydance.motion import synthetic
from raydance.motion.captions import _ALLOWED as CAPTION_KEYS
from raydance.motion.captions import read_captions
from raydance.motion.mapping import load_mapping, map_to_canonical
from raydance.stages.motion_vae import MotionVae
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig
from raydance.training.run_folder import load_bundle

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path, language: str) -> list[str]:
    """The blocks of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    lines = "".join(code_of(page, "sh")).replace("\\\n", " ").splitlines()
    return [re.split(r"\s#", line)[0].strip() for line in lines]


def module_from(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    return module_from(DOCS / "hooks.py")


def test_there_are_commands_to_check():
    commands = [line for page in PAGES for line in shell_lines(page)]
    assert sum(line.startswith("raydance ") for line in commands) >= 60
    named = {line.split()[1] for line in commands if line.startswith("raydance ")}
    assert named | {"quickstart"} == set(NAMES)


@each_page
def test_commands_are_understood(page: Path):
    for line in shell_lines(page):
        command, _, rest = line.partition(" ")
        if command == "raydance":
            understand(rest)
        elif found := re.search(r"python (\S+\.py)(.*)", line):
            script = ROOT / found[1]
            assert script.exists(), line
            if script.parent.name == "jobs":
                understand(f"{script.stem} {found[2]}")


@each_page
def test_links_and_paths_exist(page: Path):
    for link in re.findall(r"\]\(([^)#]+)", text_of(page)):
        made = page.parent.name == "reference" or "reference/" in link
        assert link.startswith("http") or made or (page.parent / link).exists(), link
    tops = "raydance|tests|jobs|tuning|deploy|docs"
    for path in re.findall(rf"[`\s]((?:{tops})/[\w./*-]+)", text_of(page)):
        is_pattern = any(mark in path for mark in ("*", "/x.py", "/x/", "/y.py"))
        assert is_pattern or (ROOT / path.rstrip("./")).exists(), path


@each_page
def test_python_blocks_import_what_exists(page: Path):
    for block in code_of(page, "python"):
        if block.startswith("--8<--"):
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_captions_and_mapping_are_read(tmp_path: Path):
    page = DOCS / "data" / "captions.md"
    (captions,) = code_of(page, "json")
    (tmp_path / "captions.jsonl").write_text(captions)
    rows = read_captions(tmp_path / "captions.jsonl")
    assert [row.end_frame for row in rows] == [None, 480]
    cells = re.findall(r"^\| (`.+?) \|", text_of(page), re.MULTILINE)
    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} == set(CAPTION_KEYS)
    (mapping,) = code_of(DOCS / "data" / "motion-files.md", "yaml")
    (tmp_path / "mapping.yaml").write_text(mapping)
    assert load_mapping(tmp_path / "mapping.yaml")["head"] == ("L_Ear", "R_Ear")


def test_the_papers_text_encoder_is_counted():
    count = sum(p.numel() for p in TextEncoder(TextEncoderConfig(), 768).parameters())
    assert f"trains {count:,} weights, 0.5 %" in text_of(DOCS / "guides" / "researcher.md")
    assert round(count / 109_482_240, 3) == 0.005


def test_the_reference_of_commands_has_every_option(hooks: ModuleType):
    page = hooks.commands_page()
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == NAMES
    group = typer.main.get_command(cli.app)
    for name, section in zip(NAMES, page.split("\n## ")[1:]):
        for option in group.commands[name].params:  # type: ignore[attr-defined]
            assert option.param_type_name == "argument" or option.opts[0] in section, option.opts


def test_the_reference_of_the_configuration_has_every_value(hooks: ModuleType):
    page = hooks.configuration_page()
    for value in ("motion_vae.train.epochs", "sequence_flow.width", "noise.flip"):
        (row,) = [r for r in page.splitlines() if r.startswith(f"| `{value}`")]
        assert row.count(" | ") == 2 and "``" not in row


def test_the_reference_of_the_api_has_every_route(hooks: ModuleType):
    page, document = hooks.api_page(), hooks.openapi()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"## `{method.upper()} {path}`" in page
    links = set(re.findall(r"\]\(#(\w+)\)", page))
    assert links and links <= {name.lower() for name in document["components"]["schemas"]}


def test_routes_in_the_guide_exist(hooks: ModuleType):
    text = text_of(DOCS / "guides" / "developer.md")
    named = set(re.findall(r"`(GET|POST|DELETE) (/[\w/{}.]+)`", text))
    there = {
        (method.upper(), path)
        for path, operations in hooks.openapi()["paths"].items()
        for method in operations
    }
    assert named - {("GET", "/v1/openapi.json")} == there
    asked = {f"/v1{path}" for path in re.findall(r"\$api(/\w+)", text)} - {"/v1/openapi"}
    assert asked <= {path for _, path in there}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    synthetic.write_corpus(folder / "corpus", 1)
    captions = folder / "corpus" / "captions.jsonl"
    rows = [json.loads(line) for line in captions.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["split"] = ("train", "train", "val")[number % 3]
    captions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest_here([folder / "corpus"], [captions], folder / "data")


def test_a_stage_is_trained_by_the_script(dataset: Path, tmp_path: Path, capsys):
    example = module_from(DOCS / "examples" / "train_a_stage.py")
    assert len((DOCS / "examples" / "train_a_stage.py").read_text().splitlines()) <= 55
    result = example.train(dataset, tmp_path / "vae.safetensors", epochs=4)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 4 and result.best_loss == min(losses) < losses[0]
    tensors, facts = load_bundle(tmp_path / "vae.safetensors")
    assert facts == {"best_loss": result.best_loss}
    stage = MotionVae(
        example.MotionVaeConfig(num_frames=Dataset.open(dataset).frames, hidden=64, latent=32)
    )
    stage.load_state_dict(tensors)


def test_the_example_of_a_format_reads_a_body(tmp_path: Path):
    read = module_from(DOCS / "examples" / "csv_format.py").read
    clip = synthetic.make_clip(synthetic.MOVEMENTS[0], 0)
    header = ",".join(f"{name}.{axis}" for name in clip.joint_names for axis in "xyz")
    lines = [",".join(f"{value:.6f}" for value in frame.ravel()) for frame in clip.positions[:60]]
    (tmp_path / "dance.csv").write_text("\n".join([header, *lines, ""]))
    found = read(tmp_path / "dance.csv")
    np.testing.assert_allclose(found.positions, clip.positions[:60], atol=1e-5)
    assert map_to_canonical(found).joint_mask.sum() == len(clip.joint_names)
    (tmp_path / "broken.csv").write_text("\n".join([header, lines[0], "1,2"]))
    with pytest.raises(FormatError, match="line 3: 2 values"):
        read(tmp_path / "broken.csv")

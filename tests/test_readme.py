"""The README: commands, captions, mappings and links are what they are said to be."""

from __future__ import annotations

import re
from pathlib import Path

from command_line import NAMES, understand

from raydance.motion.captions import _ALLOWED as CAPTION_KEYS
from raydance.motion.captions import read_captions
from raydance.motion.mapping import load_mapping
from raydance.stages.text_encoder import TextEncoder, TextEncoderConfig

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def code_of(language: str) -> list[str]:
    """The README's blocks of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readme_names_every_command_and_no_other():
    table = README.split("## Commands")[1].split("## Python")[0]
    named = re.findall(r"^\| `(\w+)", table, re.MULTILINE)
    assert named == NAMES


def test_the_readme_commands_are_understood():
    lines = "".join(code_of("sh")).replace("\\\n", " ").splitlines()
    commands = [line.split("#")[0] for line in lines if line.startswith("raydance ")]
    assert len(commands) >= 8
    for line in commands:
        understand(line.removeprefix("raydance "))


def test_the_readme_captions_and_mapping_are_read(tmp_path):
    (captions,) = code_of("json")
    (tmp_path / "captions.jsonl").write_text(captions)
    rows = read_captions(tmp_path / "captions.jsonl")
    assert [row.end_frame for row in rows] == [None, 480]
    table = README.split("### Captions")[1].split("### Your own")[0]
    documented = {
        key
        for cell in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", cell)
    }
    assert documented == set(CAPTION_KEYS)
    (mapping,) = code_of("yaml")
    (tmp_path / "mapping.yaml").write_text(mapping)
    assert load_mapping(tmp_path / "mapping.yaml")["head"] == ("L_Ear", "R_Ear")


def test_the_readme_links_exist():
    root = Path(__file__).parents[1]
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links and all((root / link).exists() for link in links)


def test_the_readme_counts_the_papers_text_encoder():
    count = sum(p.numel() for p in TextEncoder(TextEncoderConfig(), 768).parameters())
    assert f"{count:,}\nweights, .5 % of" in README and round(count / 109_482_240, 3) == 0.005

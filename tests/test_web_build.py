"""The page's bundle: whole, built again when it should be, and what it writes without a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from raydance import web
from raydance.errors import RaydanceError

pytestmark = pytest.mark.slow


def test_the_built_page_is_complete_and_names_no_host() -> None:
    try:
        folder = web.dist()
    except RaydanceError as error:
        pytest.skip(str(error))
    html = (folder / "index.html").read_text(encoding="utf-8")
    assets = re.findall(r'(?:src|href)="(assets/[^"]+)"', html)
    assert len(assets) == 2 and all((folder / asset).is_file() for asset in assets)
    assert "style=" not in html and not re.search(r"<script(?![^>]*src=)", html)
    lock = Path(web.__file__).with_name("package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock


def test_a_page_that_cannot_be_built_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RaydanceError, match=r"npm ci && npm run build"):
        web.dist(tmp_path)


def test_a_page_is_built_again_when_a_source_changed(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    source = Path(web.__file__).parent
    if not (source / "node_modules").is_dir():
        pytest.skip("run npm ci in raydance/web")
    folder = tmp_path / "web"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("dist", "node_modules"))
    (folder / "node_modules").symlink_to(source / "node_modules")
    first = (web.dist(folder) / "index.html").read_text(encoding="utf-8")
    player = folder / "src" / "player.js"
    player.write_text(player.read_text().replace("speed = 1", "speed = 2"), encoding="utf-8")
    os.utime(player, (time.time() + 5, time.time() + 5))
    assert (web.dist(folder) / "index.html").read_text(encoding="utf-8") != first
    (folder / "src" / "main.js").write_text("not javascript (", encoding="utf-8")
    os.utime(folder / "src" / "main.js", (time.time() + 9, time.time() + 9))
    with pytest.raises(RaydanceError, match="cannot be built"):
        web.dist(folder)
    assert (folder / "dist" / "index.html").is_file(), "what there was is still there"
    assert not list(folder.glob("dist.part-*"))


def test_two_that_start_at_once_build_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm, folder = tmp_path / "npm", tmp_path / "web"
    folder.mkdir()
    npm.write_text(
        '#!/bin/sh\necho "$@" >> made\n/bin/sleep 0.5\n/bin/mkdir -p dist\n: > dist/index.html\n'
    )
    npm.chmod(0o755)
    (folder / "package-lock.json").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda _: web.dist(folder), range(2)))
    assert built == 2 * [folder / "dist"]
    assert (folder / "made").read_text() == "ci\nrun build\n"


def test_the_motion_file_of_the_page_is_one_that_numpy_reads(tmp_path: Path) -> None:
    """`npz.js` by itself, under Node: the container is written by hand."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    source = Path(web.__file__).parent / "src" / "npz.js"
    script = f"""
        import {{ motionFile }} from {json.dumps(source.as_uri())};
        import {{ writeFileSync }} from "node:fs";
        const motion = {{ fps: 30, num_frames: 2, num_joints: 2, joints: ["pelvis", "left_hip"],
            parents: [-1, 0], positions: Float32Array.from({{ length: 12 }}, (_, i) => i / 7) }};
        const file = motionFile(motion, "made");
        const bytes = Buffer.from(await file.arrayBuffer());
        writeFileSync({json.dumps(str(tmp_path / "made.npz"))}, bytes);
    """
    program = tmp_path / "write.mjs"
    program.write_text(script, encoding="utf-8")
    ran = subprocess.run(["node", str(program)], capture_output=True, text=True, timeout=60)
    if "File is not defined" in ran.stderr:
        pytest.skip("this Node.js has no File: 20 or newer is needed")
    assert ran.returncode == 0, ran.stderr
    with np.load(tmp_path / "made.npz") as made:
        np.testing.assert_allclose(made["positions"].ravel(), np.arange(12) / 7, rtol=1e-6)
        assert made["joint_names"].tolist() == ["pelvis", "left_hip"]
        assert made["parents"].tolist() == [-1, 0] and float(made["fps"]) == 30

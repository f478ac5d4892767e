"""Modules of the page by themselves, under Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raydance import web

SOURCE = Path(web.__file__).parent / "src"


def run(code: str, *modules: str, data: Any = None) -> Any:
    """What an expression of JavaScript is, with the exports of modules as `m` and data as `d`."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    imports = "".join(
        f"import * as m{i} from {json.dumps((SOURCE / f'{name}.js').as_uri())};"
        for i, name in enumerate(modules)
    )
    merged = ", ".join(f"...m{i}" for i in range(len(modules)))
    program = (
        f"{imports} import {{ readFileSync }} from 'node:fs'; const m = {{ {merged} }};"
        f"const d = JSON.parse(readFileSync(0)); console.log(JSON.stringify(await ({code})));"
    )
    ran = subprocess.run(
        ["node", "--input-type=module", "-e", program],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)

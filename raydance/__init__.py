"""Spaces of movement, words and music, learnt from motion capture and 2-D tracks.

    import raydance
    system = raydance.load("runs/mine")
    motion = system.generate("a dancer turns slowly", seed=1)  # [1, 50, 50, 3] metres, y up

Motion files become windows (`raydance.data.ingest`), stages learn from them (`raydance.systems`), a
run folder holds what they learnt (`raydance.training.run_folder`), and `load` puts it to work.
Importing this package imports neither torch nor Ray; using a run never needs Ray.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raydance.version import VERSION as __version__

__all__ = ["__version__", "load"]


def load(path: str | Path) -> Any:
    """A finished run, ready for work.

    It has `tasks`, by name; of Dance-Language also `describe`, `generate` and `search`.

    Args:
        path: a run folder, as `raydance train` writes it.

    Raises:
        ArtifactError: not a run folder, damaged, or not finished.
    """
    from raydance.systems import load_run

    return load_run(path)

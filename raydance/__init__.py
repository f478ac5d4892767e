"""A shared space of dance and words, learnt from motion capture.

    import raydance
    system = raydance.load("runs/mine")
    motion = system.generate("a dancer turns slowly", seed=1)  # [1, 50, 50, 3] metres, y up

Motion files become windows (`raydance.ingest`), stages learn from them (`raydance.systems`), a run
folder holds what they learnt (`raydance.artifacts`), and `load` puts it to work. Importing this
package imports neither torch nor Ray; using a run never needs Ray.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raydance.version import VERSION as __version__

if TYPE_CHECKING:
    from raydance.systems.dance_language_run import DanceLanguage

__all__ = ["__version__", "load"]


def load(path: str | Path) -> DanceLanguage:
    """The trained system of a finished run, with `describe`, `generate` and `search`.

    Args:
        path: a run folder, as `raydance train` writes it.

    Raises:
        ArtifactError: not a run folder, damaged, or not finished.
    """
    from raydance.systems import load_run

    return load_run(path)

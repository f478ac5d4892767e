"""The web page (placeholder until the page's own commit)."""

from pathlib import Path

from raydance.errors import RaydanceError


def dist() -> Path:
    raise RaydanceError("not built")

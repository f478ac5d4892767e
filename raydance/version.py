"""The version of this package, for whoever writes it into a file or tells it."""

from __future__ import annotations

import importlib.metadata

try:
    VERSION = importlib.metadata.version("raydance")
except importlib.metadata.PackageNotFoundError:  # a source tree shipped to a cluster's workers
    VERSION = "0+source"

"""The token of embedded clusters: whoever reads it can run programs as its owner."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path

_GIVEN_OTHERWISE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def keep_token_private() -> None:
    """Make `~/.ray/auth_token` before Ray does, which lets everybody on the machine read it.

    A token that is there stays as it is; where it may be read by everybody, as an embedded Ray left
    it before, its owner alone may read it from then on.
    """
    mode = os.environ.get("RAY_AUTH_MODE")
    if any(map(os.environ.get, _GIVEN_OTHERWISE)) or (mode or "token").lower() != "token":
        return
    path = Path.home() / ".ray" / "auth_token"
    try:
        found = path.stat()
    except FileNotFoundError:
        _write(path)
        return
    if found.st_mode & stat.S_IROTH and found.st_uid == os.geteuid():
        path.chmod(0o600)


def _write(path: Path) -> None:
    """A new token, unless another process is first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=".auth_token.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(aside, path)  # unlike a renaming, never over a token that is there
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                os.replace(aside, path)
    finally:
        Path(aside).unlink(missing_ok=True)

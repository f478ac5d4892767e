"""The page that the service serves: where its built bundle lies, made first where it can be.

The sources are JavaScript in `src/`, bundled by `build.mjs` into `dist/`: `index.html`, and under
`assets/` what it loads. A wheel holds `dist/` alone; a checkout builds it when it is first asked
for, which takes npm.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from filelock import FileLock

from raydance.errors import RaydanceError

_HERE: Final = Path(__file__).parent
_BUILD_S: Final = 600.0


def dist(folder: Path = _HERE) -> Path:
    """The folder with `index.html` and `assets/`, built where it is missing or out of date.

    Args:
        folder: where the sources are, this package's own by default.

    Raises:
        RaydanceError: it is missing and cannot be built; says what to run.
    """
    built = folder / "dist"
    if not _is_due(folder, built):
        return built
    npm = shutil.which("npm")
    if npm is None:
        if (built / "index.html").is_file():
            return built  # older than its sources, but it works
        raise RaydanceError(
            f"the page is not built and npm is not installed: install Node.js 18 or newer, then "
            f"run `npm ci && npm run build` in {folder}"
        )
    try:
        with FileLock(folder / ".build.lock", timeout=2 * _BUILD_S):
            if _is_due(folder, built):  # another process may have built it meanwhile
                _build(npm, folder)
    except OSError as error:  # Timeout of the lock is one too
        raise RaydanceError(f"the page cannot be built in {folder}: {error}") from error
    return built


def _build(npm: str, folder: Path) -> None:
    for command in (["ci"], ["run", "build"]):
        if command == ["ci"] and _is_installed(folder):
            continue
        try:
            subprocess.run(
                [npm, *command],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
                timeout=_BUILD_S,
            )
        except (subprocess.SubprocessError, OSError) as error:
            output = getattr(error, "stderr", None) or str(error)
            last = [line for line in str(output).splitlines() if line.strip()][-1:] or ["no output"]
            raise RaydanceError(
                f"the page cannot be built: `npm {' '.join(command)}` in {folder} failed "
                f"({last[0].strip()}); run it there to see why"
            ) from error


def _is_due(folder: Path, built: Path) -> bool:
    """Whether it has to be built: not in a wheel, which has no sources."""
    page = built / "index.html"
    if not page.is_file():
        return True
    sources = [*folder.glob("src/*"), *folder.glob("build.mjs"), *folder.glob("package-lock.json")]
    return any(source.stat().st_mtime > page.stat().st_mtime for source in sources)


def _is_installed(folder: Path) -> bool:
    """Whether `npm ci` ran after the lock file last changed."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= lock.stat().st_mtime

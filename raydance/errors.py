"""The errors that raydance raises on purpose.

All of them survive pickling, because they cross process borders under Ray.
`InputError` and its children are the user's to mend: the command line prints them as one
line and exits with code 2.
"""

from __future__ import annotations

from raydance.plain_text import well_formed


class RaydanceError(Exception):
    """Anything that raydance itself refuses or cannot go on with.

    Its text is fit for any UTF-8 file, whatever it quotes.
    """

    def __str__(self) -> str:
        return well_formed(super().__str__())


class InputError(RaydanceError, ValueError):
    """A mistake in what the user gave: says what, where, the value found and what is allowed."""


class StorageError(RaydanceError):
    """A file that could not be written: a full disk, a quota, a limit, a device that fails."""


class UnreachableError(RaydanceError):
    """A store that does not answer. The request to it cannot be taken back: it goes on until it
    fails by itself, and Python waits for it when it ends."""


class ConfigError(InputError):
    """An unknown key, a wrong type or a value out of range in a configuration."""


class ArtifactError(InputError):
    """A run folder or dataset that is damaged, incomplete or not ours."""


class FormatError(InputError):
    """A motion file that cannot be read.

    Args:
        path: the file.
        reason: what was found and what is allowed.
        line: 1-based line in a text file, where there is one.
    """

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        super().__init__(path, reason, line)
        self.path = str(path)
        self.reason = well_formed(reason)
        self.line = line

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path} line {self.line}"
        return well_formed(f"{place}: {self.reason}")

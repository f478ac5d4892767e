"""Requests to the service: asked again when it is busy, late or breaks off."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import requests

from raydance.errors import InputError, RaydanceError

_LONGEST_WAIT_S: Final = 30.0
_PAUSE_S: Final = 0.2


class ServiceError(RaydanceError):
    """The service refused or failed.

    Attributes:
        status: of HTTP; 0 where the service was not reached.
        detail: what was wrong, and what is allowed.
        type: its kind, for programs, such as `invalid-value`; empty where nothing was said.
    """

    def __init__(self, status: int, detail: str, type: str = "") -> None:
        super().__init__(status, detail, type)
        self.status = status
        self.detail = detail
        self.type = type

    def __str__(self) -> str:
        return self.detail


class Transport:
    """Connections to one service.

    Args:
        url, key, timeout_s, tries: as for `Client`.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float, tries: int) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"url {url!r}: http:// or https:// is needed")
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._tries = tries
        self._session = requests.Session()
        if key is not None:
            self._session.headers["X-API-Key"] = key

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, method: str, path: str, **request: Any) -> requests.Response:
        """The answer to a request; its arguments are those of `requests.request`.

        Raises:
            ServiceError: refused, or not reached.
        """
        for attempt in range(self._tries):
            is_last = attempt == self._tries - 1
            try:
                answer = self._session.request(
                    method,
                    self._url + path,
                    timeout=self._timeout_s,
                    allow_redirects=False,  # a key is for this service alone
                    **request,
                )
            except requests.RequestException as error:
                if is_last:
                    raise ServiceError(0, f"{self._url}: not reached ({error})") from None
                time.sleep(_PAUSE_S * 2**attempt)
                continue
            if is_last or not (answer.status_code == 503 or _is_lost(answer)):
                break
            time.sleep(_wait_s(answer) if answer.status_code == 503 else _PAUSE_S)
        if not answer.ok:
            raise _error(answer)
        return answer


def named(file: str | Path) -> tuple[str, bytes]:
    """A file as a part of a form."""
    try:
        return Path(file).name, Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None


def refuse_skeleton(skeleton: str | Path | None) -> None:
    """Refuse a skeleton for words.

    Raises:
        InputError: there is one.
    """
    if skeleton is not None:
        raise InputError(f"skeleton: {skeleton} belongs to an .amc file; the query is words")


def _is_lost(answer: requests.Response) -> bool:
    """Whether the process that was answering died: then nobody wrote the error's details.

    Every question of the API may be asked again.
    """
    is_ours = answer.headers.get("Content-Type", "").startswith("application/problem+json")
    return answer.status_code >= 500 and not is_ours


def plain(fields: Mapping[str, Any]) -> dict[str, str]:
    """Values as a form or a query has them."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in fields.items()
    }


def _wait_s(answer: requests.Response) -> float:
    text = answer.headers.get("Retry-After", "1")
    return min(float(text), _LONGEST_WAIT_S) if text.isdigit() else 1.0


def _error(answer: requests.Response) -> ServiceError:
    status = answer.status_code
    try:
        problem = answer.json()
        return ServiceError(status, problem["detail"], problem["type"].rpartition(":")[2])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServiceError(status, f"HTTP status {status}")

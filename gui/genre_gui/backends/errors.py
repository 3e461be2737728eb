"""Errors of a service, as the window reports them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from genre_gui.language import mark, tr
from genre_gui.text import one_line
from genre_runtime import GenreError
from genre_runtime.errors import (
    AudioLimitError,
    DeviceUnavailableError,
    EmptyAudioError,
    InvalidInputError,
    InvalidModelError,
    UnreadableAudioError,
)

KEY_VARIABLE = "GENRE_API_KEY"
MAX_DETAIL_LENGTH = 300


class ServiceError(GenreError):
    """A service cannot be used, or refuses a file."""

    code = "service"


class AddressError(ServiceError, ValueError):
    """The text is not the address of a service."""

    code = "invalid_address"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"{one_line(url)!r} is not the address of a service: {why}; expected for example http://127.0.0.1:8000"
        )


class AwayError(ServiceError, ConnectionError):
    """The service does not answer, or the connection broke."""

    code = "service_away"

    def __init__(self, address: str, why: str) -> None:
        super().__init__(
            tr(
                "the service at {address} cannot be reached ({error}): check that it runs",
                address=address,
                error=one_line(why),
            )
        )
        self.why = one_line(why)


class NoServiceError(ServiceError):
    """The address belongs to another program."""

    code = "no_service"

    def __init__(self, address: str, why: str) -> None:
        super().__init__(
            tr(
                "the program at {address} is not a genre service ({error}): check the address",
                address=address,
                error=one_line(why),
            )
        )


class NotReadyError(ServiceError):
    """The service answers, but cannot classify.

    Attributes
    ----------
    reason : str
        The service's own code, such as `model_not_found` or `draining`.
    load_error : str or None
        Why the model could not be loaded.
    """

    code = "service_not_ready"

    def __init__(self, address: str, reason: str, load_error: str | None = None) -> None:
        super().__init__(
            tr("the service at {address} is not ready ({error}): see its log", address=address, error=one_line(reason))
        )
        self.reason, self.load_error = reason, load_error


class KeyRefusedError(ServiceError, PermissionError):
    """The service requires a key, or another one."""

    code = "unauthorized"

    def __init__(self, address: str, sent: bool) -> None:
        message = (
            tr(
                "the service at {address} does not accept the key in {name}: set {name} and open this window again",
                address=address,
                name=KEY_VARIABLE,
            )
            if sent
            else tr(
                "the service at {address} requires an API key: set {name} and open this window again",
                address=address,
                name=KEY_VARIABLE,
            )
        )
        super().__init__(message)


_FILE_ERRORS: dict[str, Callable[[str], GenreError]] = {
    "unreadable_audio": UnreadableAudioError,
    "empty_audio": EmptyAudioError,
    "invalid_input": InvalidInputError,
    "audio_limit": lambda detail: AudioLimitError(detail, "service"),
}
"""Errors of a file itself: the row says the same as without a service."""


def file_failure(status: int, problem: Mapping[str, Any]) -> GenreError:
    """Return the error for a file that the service did not classify.

    Parameters
    ----------
    status : int
        Status of the answer.
    problem : mapping of str to Any
        The JSON object in the answer.
    """
    code, detail = str(problem.get("code", "")), one_line(str(problem.get("detail", "")))[:MAX_DETAIL_LENGTH]
    if code in _FILE_ERRORS:
        return _FILE_ERRORS[code](detail)
    if status == 413:
        return ServiceError(tr("the file is too large for the service ({error})", error=detail or "413"))
    if status in (408, 503) and code in ("timeout", "body_timeout"):
        return ServiceError(tr("the service ran out of time ({error}): try this file alone", error=detail or code))
    if status in (429, 503):
        return ServiceError(tr("the service is busy ({error}): try again later", error=detail or str(status)))
    if status >= 500:
        request = problem.get("request_id")
        message = mark("the service failed to classify this file (status {status}): see its log")
        if request:
            message = mark("the service failed to classify this file (status {status}): see its log under {name}")
        return ServiceError(tr(message, status=status, name=one_line(str(request))))
    reason = detail or tr("no reason given")
    return ServiceError(tr("the service refused this file (status {status}: {error})", status=status, error=reason))


def load_failure(error: NotReadyError, device: str) -> GenreError:
    """Return why the window's own service has no model, as the error that the runtime raises for it.

    Parameters
    ----------
    error : NotReadyError
    device : str
        The device requested.
    """
    message = error.load_error or tr("the service could not load the model ({error})", error=error.reason)
    if error.reason != DeviceUnavailableError.code:
        return InvalidModelError(message)
    failure = DeviceUnavailableError(device, (), message)
    failure.args = (message,)  # the service's own sentence, which names the device already
    return failure

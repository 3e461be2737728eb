"""Errors of a service, as the window reports them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
        super().__init__(f"the service at {address} cannot be reached ({one_line(why)}): check that it runs")
        self.why = one_line(why)


class NoServiceError(ServiceError):
    """The address belongs to another program."""

    code = "no_service"

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"the program at {address} is not a genre service ({one_line(why)}): check the address")


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
        super().__init__(f"the service at {address} is not ready ({one_line(reason)}): see its log")
        self.reason, self.load_error = reason, load_error


class KeyRefusedError(ServiceError, PermissionError):
    """The service requires a key, or another one."""

    code = "unauthorized"

    def __init__(self, address: str, sent: bool) -> None:
        message = f"does not accept the key in {KEY_VARIABLE}" if sent else "requires an API key"
        super().__init__(f"the service at {address} {message}: set {KEY_VARIABLE} and open this window again")


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
        return ServiceError(f"the file is too large for the service ({detail or 'status 413'})")
    if status in (408, 503) and code in ("timeout", "body_timeout"):
        return ServiceError(f"the service ran out of time ({detail or code}): try this file alone")
    if status in (429, 503):
        return ServiceError(f"the service is busy ({detail or status}): try again later")
    if status >= 500:
        request = problem.get("request_id")
        where = f" under {one_line(str(request))}" if request else ""
        return ServiceError(f"the service failed to classify this file (status {status}): see its log{where}")
    return ServiceError(f"the service refused this file (status {status}: {detail or 'no reason given'})")


def load_failure(error: NotReadyError, device: str) -> GenreError:
    """Return why the window's own service has no model, as the error that the runtime raises for it.

    Parameters
    ----------
    error : NotReadyError
    device : str
        The device requested.
    """
    message = error.load_error or f"the service could not load the model ({error.reason})"
    if error.reason != DeviceUnavailableError.code:
        return InvalidModelError(message)
    failure = DeviceUnavailableError(device, (), message)
    failure.args = (message,)  # the service's own sentence, which names the device already
    return failure

"""What a service's refusal means, in words and as errors that the window knows what to do with."""

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
LONGEST_DETAIL = 300


class ServiceError(GenreError):
    """A service cannot be used, or refuses a file."""

    code = "service"


class AddressError(ServiceError, ValueError):
    """What was given is no address of a service."""

    code = "invalid_address"

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{one_line(url)!r} is no address of a service: {why}; expected such as http://127.0.0.1:8000")


class AwayError(ServiceError, ConnectionError):
    """Nobody answers at the address, or the connection broke."""

    code = "service_away"

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"the service at {address} cannot be reached ({one_line(why)}): see that it runs")
        self.why = one_line(why)


class NoServiceError(ServiceError):
    """Something else answers."""

    code = "no_service"

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"what answers at {address} is no genre service ({one_line(why)}): check the address")


class NotReadyError(ServiceError):
    """The service is there, but cannot classify.

    Attributes
    ----------
    reason : str
        The service's own code, such as `model_not_found` or `draining`.
    """

    code = "service_not_ready"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"the service at {address} is not ready ({one_line(reason)}): its log says more")
        self.reason = reason


class KeyRefusedError(ServiceError, PermissionError):
    """The service wants a key, or another one."""

    code = "unauthorized"

    def __init__(self, address: str, sent: bool) -> None:
        words = "takes another key than" if sent else "wants a key: set"
        super().__init__(f"the service at {address} {words} {KEY_VARIABLE}; set it and open this window again")


_OF_THE_FILE: dict[str, Callable[[str], GenreError]] = {
    "unreadable_audio": UnreadableAudioError,
    "empty_audio": EmptyAudioError,
    "invalid_input": InvalidInputError,
    "audio_limit": lambda detail: AudioLimitError(detail, "service"),
}
"""Errors that are the file's own: the row says the same as without a service."""


def refused_file(status: int, problem: Mapping[str, Any]) -> GenreError:
    """Return what to say of a file that the service did not classify, by the answer's status and JSON object."""
    code, detail = str(problem.get("code", "")), one_line(str(problem.get("detail", "")))[:LONGEST_DETAIL]
    if code in _OF_THE_FILE:
        return _OF_THE_FILE[code](detail)
    if status == 413:
        return ServiceError(f"the service takes no file as large as this ({detail or 'status 413'})")
    if status in (408, 503) and code in ("timeout", "body_timeout"):
        return ServiceError(f"the service took too long at this file ({detail or code}): try it alone")
    if status in (429, 503):
        return ServiceError(f"the service has too much to do ({detail or status}): try again later")
    if status >= 500:
        request = problem.get("request_id")
        where = f" under {one_line(str(request))}" if request else ""
        return ServiceError(f"the service failed at this file (status {status}): its log says why{where}")
    return ServiceError(f"the service refused this file (status {status}: {detail or 'no reason given'})")


def refused_model(code: str, words: str, device: str) -> GenreError:
    """Return why a service of this program's own has no model, as the runtime would have said it."""
    if code == "device_unavailable":
        from genre_runtime.model.session import available_devices

        return DeviceUnavailableError(device, ("auto", *available_devices()), words or "the service could not get it")
    return InvalidModelError(words or f"the service could not load the model ({code})")

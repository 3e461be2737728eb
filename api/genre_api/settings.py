"""Settings of the service, read from `GENRE_*` environment variables. docs/service.md lists them in a table."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from genre_runtime import DEVICES, DecodeLimits, available_cores

PREFIX = "GENRE_"
USED_ELSEWHERE = ("GENRE_CASES", "GENRE_DATA", "GENRE_TEST_FILES", "GENRE_TEST_STANDALONE")
"""Variables that only tasks.py and the tests read."""

Names = Annotated[tuple[str, ...], NoDecode]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of the service. The field `body_seconds` is the variable `GENRE_BODY_SECONDS`.

    Raises
    ------
    pydantic.ValidationError
        A value is invalid; the message does not repeat it, since it may be a secret.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(default="127.0.0.1", min_length=1, description="address that `genre-api` listens on")
    port: int = Field(default=8000, ge=0, le=65_535, description="port that `genre-api` listens on")
    model: Path | None = Field(
        default=None, description="the `.onnx` file, or a name of `genre model list`; empty takes the shipped model"
    )
    head: Path | None = Field(
        default=None, description="a file of `genre learn`, whose genres replace those of the model"
    )
    state: Path | None = Field(
        default=None,
        description="a state file of `genre classify`, in whose tracks `/api/similar` searches",
    )
    jobs: Path | None = Field(
        default=None, description="the file that keeps the long jobs of `/api/jobs`, created if missing"
    )
    max_jobs: Positive = Field(default=100, description="most jobs kept, including those that have ended")
    job_files: Positive = Field(default=100_000, description="most files of one job")
    device: str = Field(default="auto", description="`auto`, `cpu`, `cuda`, ...; an unavailable device is an error")
    workers: int = Field(default=0, ge=0, le=256, description="predictions at once; 0 takes one for each core")
    threads: int = Field(default=1, ge=0, le=256, description="threads within one run of the model; 0 takes every core")
    queue_length: int = Field(default=32, ge=0, description="predictions that may wait; more are answered 503 at once")
    client_requests: int = Field(
        default=0, ge=0, description="predictions of one address at once, more are answered 429; 0: no limit"
    )
    request_seconds: Seconds = Field(default=60.0, description="longest time from the body's end to the answer")
    body_seconds: Seconds = Field(default=60.0, description="longest time for a request's body to arrive")
    header_seconds: Seconds = Field(
        default=10.0,
        description="longest time for a request's head to arrive, for a connection without a request, and in which a "
        "client takes nothing of its answer (`genre-api` only)",
    )
    max_connections: Positive = Field(default=512, description="connections at once (`genre-api` only)")
    max_body_bytes: Positive = Field(default=200 * 2**20, description="most bytes of one body")
    max_total_bytes: Positive = Field(default=2**30, description="most bytes of all bodies held at once")
    max_batch: Positive = Field(default=32, description="most files of one batch")
    max_parts: Positive = Field(default=64, description="most parts of one form")
    max_decode_seconds: Seconds = Field(
        default=3600.0, description="most seconds decoded from one file, or in a spectrogram"
    )
    max_decode_bytes: Positive = Field(default=2**31, description="most bytes of samples decoded from one file")
    decode_memory_bytes: Positive = Field(
        default=400 * 2**20, description="most memory that decoding one file may take, in a process of its own"
    )
    max_json_bytes: Positive = Field(default=4 * 2**20, description="most bytes of a JSON body")
    max_npy_bytes: Positive = Field(default=16 * 2**20, description="most bytes of a `.npy` body")
    audio_roots: Names = Field(
        default=(), description="folders that `path` may name files in, separated like `PATH`; none: switched off"
    )
    api_key: SecretStr | None = Field(
        default=None, description="key of 8 or more characters, required at `/api` and `/metrics`"
    )
    cors_origins: Names = Field(default=(), description="origins whose pages may call the service, separated by commas")
    allowed_hosts: Names = Field(
        default=(),
        description="allowed values of `Host`, separated by commas, `*` for any; empty: IP addresses and names without "
        "a dot, or any if `GENRE_API_KEY` is set",
    )
    drain_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3600,
        description="time from SIGTERM, when `/readyz` turns to 503, to the last new connection (`genre-api` only)",
    )
    shutdown_seconds: Positive = Field(
        default=90, description="time that running requests have to finish (`genre-api` only)"
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="`json` or `text`: form of the log (`genre-api` only)"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="`debug`, `info`, `warning` or `error`: the least severe messages logged (`genre-api` only)",
    )

    @field_validator("audio_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("audio_roots")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(Path(part).is_absolute() for part in value):
            raise ValueError("every folder must be an absolute path")
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if value not in DEVICES:
            raise ValueError(f"unknown device: expected one of {', '.join(DEVICES)}")
        return value

    @field_validator("model", "head", "state", "jobs", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None

    @field_validator("api_key")
    @classmethod
    def _strong(cls, value: SecretStr | None) -> SecretStr | None:
        # An empty variable is more likely a missing secret than the wish for no key.
        if value is not None and not (len(value.get_secret_value()) >= 8 and value.get_secret_value().isascii()):
            raise ValueError("expected 8 or more ASCII characters; leave the variable out for no key")
        return value

    @property
    def n_workers(self) -> int:
        """Number of threads that classify."""
        return self.workers or available_cores()

    @property
    def decode_limits(self) -> DecodeLimits:
        """Limits on what is decoded from one file."""
        return DecodeLimits(max_seconds=self.max_decode_seconds, max_bytes=self.max_decode_bytes)


def unknown_variables(names: Iterable[str]) -> list[str]:
    """Return the names that begin with `GENRE_` but are not used by this project, such as misspelt names.

    Parameters
    ----------
    names : iterable of str
        Names of environment variables.
    """
    known = {*USED_ELSEWHERE, *(PREFIX + name.upper() for name in Settings.model_fields)}
    return sorted(name for name in names if name.upper().startswith(PREFIX) and name.upper() not in known)

"""What a graph says of itself, held against the sidecar: a foreign one is refused before it is asked anything."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from genre_runtime.errors import InvalidModelError
from genre_runtime.metadata import AUDIO_METADATA_KEY, LABELS_METADATA_KEY, ModelMetadata

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OUTPUTS = ("logits", "embedding")
"""What is asked of every graph; each (batch, n)."""

_FLOAT32 = "tensor(float)"


def check_graph(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Compare metadata, inputs and outputs of a graph with what the sidecar says.

    Parameters
    ----------
    session : InferenceSession
    metadata : ModelMetadata
    kind : {"waveform", "log_mel"}
    name : str
        The file, for messages.

    Raises
    ------
    InvalidModelError
    """
    _check_facts(session, metadata, name)
    _check_input(session, metadata, kind, name)
    outputs = {output.name: output for output in session.get_outputs()}
    for wanted in OUTPUTS:
        if wanted not in outputs:
            raise InvalidModelError(f"{name} answers with {', '.join(outputs)}: expected {wanted} among them")
        found = outputs[wanted]
        if found.type != _FLOAT32 or len(found.shape) != 2:
            raise InvalidModelError(
                f"{name} answers {wanted} as {_words(found)}: expected {_FLOAT32} of two axes; export the model again"
            )
    n_labels = outputs["logits"].shape[-1]
    if n_labels != len(metadata.labels):
        raise InvalidModelError(f"{name} has {n_labels} outputs but the sidecar names {len(metadata.labels)} labels")


def _check_facts(session: InferenceSession, metadata: ModelMetadata, name: str) -> None:
    try:
        stored: dict[str, Any] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise InvalidModelError(f"{name} carries metadata that is no text: export the model again") from error
    for key, expected in (
        (AUDIO_METADATA_KEY, asdict(metadata.audio)),
        (LABELS_METADATA_KEY, list(metadata.labels)),
    ):
        try:
            found = json.loads(stored[key])
        except (KeyError, ValueError, RecursionError) as error:
            raise InvalidModelError(f"{name} carries no {key}: it was not written by `invoke export`") from error
        if found != expected:
            raise InvalidModelError(f"{name} and its sidecar disagree on {key}: export the model again")


def _check_input(session: InferenceSession, metadata: ModelMetadata, kind: str, name: str) -> None:
    """Expect one input, of any batch and length: dimensions that are free come as a word or None."""
    inputs = session.get_inputs()
    if [value.name for value in inputs] != [kind]:
        names = ", ".join(value.name for value in inputs) or "nothing"
        raise InvalidModelError(f"{name} asks for {names}: expected {kind} alone; export the model again")
    fixed = [size if isinstance(size, int) else None for size in inputs[0].shape]
    expected = [None, None] if kind == "waveform" else [None, metadata.audio.n_mels, None]
    if inputs[0].type != _FLOAT32 or fixed != expected:
        raise InvalidModelError(
            f"{name} takes {kind} as {_words(inputs[0])}: expected {_FLOAT32} of any batch and length; export the "
            "model again"
        )


def _words(value: Any) -> str:
    return f"{value.type} of shape ({', '.join(str(size) for size in value.shape)})"

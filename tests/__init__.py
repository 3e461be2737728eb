"""Tests, benchmarks and the fuzzer; several import onnxruntime themselves, in the order of the alphabet."""

import genre_runtime  # noqa: F401  # switches off the telemetry of onnxruntime

"""Tests, benchmarks and the fuzzer; several import onnxruntime themselves, in the order of the alphabet."""

from genre_runtime.telemetry import disable_telemetry

disable_telemetry()

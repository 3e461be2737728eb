"""The ONNX model: sidecar, sessions, features, inference. Imports `audio`."""

"""The ONNX model: sidecar, sessions, front end, inference. Imports `audio`."""

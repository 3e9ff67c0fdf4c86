"""The decode step in another engine, ONNX Runtime: export, eight-bit weights, the file next to a run, the reader."""

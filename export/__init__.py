"""Network -> ONNX, each file verified against its checkpoint."""

"""One function a command: streams in, streams out, no terminal, no paths."""

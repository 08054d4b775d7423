"""One function for each command: streams in, streams out, no terminal and no paths."""

"""One function per command: streams in, streams out, no terminal and no paths."""

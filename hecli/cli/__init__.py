"""The command line: options, files and what the terminal shows."""

"""Where files are: written whole or not at all, and never over another."""

"""Tensor files, read and written in pieces: one module for each format, and one registry of them."""

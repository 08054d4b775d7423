"""Tensor files, read and written in pieces."""

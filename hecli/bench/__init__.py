"""Measuring whole commands, and other libraries beside them."""

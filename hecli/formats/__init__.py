"""Bytes to records and back: the envelope, keys, rounds' files and tensor files."""

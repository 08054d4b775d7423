"""Any file: what it is, and whether it is sound, without a secret."""

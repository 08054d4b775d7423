"""What happened: a chain of signed entries."""

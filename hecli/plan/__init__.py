"""What all parties of a round agree on before it."""

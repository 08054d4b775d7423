"""Fixed point, packing, and the Paillier cryptosystem. Knows nothing of files."""

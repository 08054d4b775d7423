"""The Paillier cryptosystem: keys, shares of keys, and the files they are kept in."""

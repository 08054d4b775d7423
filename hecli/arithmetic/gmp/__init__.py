"""The engines as gmpy2 computes them; no mpz leaves this room.

Notation as in P. Paillier, "Public-key cryptosystems based on composite
degree residuosity classes" (Eurocrypt 1999): n = p*q, g = n+1,
c = (1 + m*n) * rho mod n^2 with rho an n-th residue.
"""

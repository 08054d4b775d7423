"""Big integers in batches of bytes: `engines` makes what callers use, and only `gmp` knows gmpy2."""

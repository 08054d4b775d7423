"""Big integers in batches of bytes: the only room that knows gmpy2."""

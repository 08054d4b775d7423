"""ML-KEM-768 after FIPS 203, in integers and hashlib: for vectors, whose randomness is fixed, and slow."""

import hashlib
from functools import lru_cache

Q, N, K, ETA = 3329, 256, 3, 2
DU, DV = 10, 4


def _reversed(i):
    return int(f"{i:07b}"[::-1], 2)


ZETAS = [pow(17, _reversed(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed(i) + 1, Q) for i in range(128)]


def ntt(f):
    """Algorithm 9."""
    f, i, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            zeta, i = ZETAS[i], i + 1
            for j in range(start, start + length):
                t = zeta * f[j + length] % Q
                f[j + length], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        length //= 2
    return f


def inverse_ntt(f):
    """Algorithm 10."""
    f, i, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            zeta, i = ZETAS[i], i - 1
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, zeta * (f[j + length] - t) % Q
        length *= 2
    return [each * 3303 % Q for each in f]


def multiply(f, g):
    """Algorithms 11 and 12."""
    h = []
    for i, gamma in enumerate(GAMMAS):
        a0, a1, b0, b1 = *f[2 * i : 2 * i + 2], *g[2 * i : 2 * i + 2]
        h += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return h


def add(*polynomials):
    return [sum(each) % Q for each in zip(*polynomials, strict=True)]


def sample_ntt(seed):
    """Algorithm 7."""
    found, at, stream = [], 0, hashlib.shake_128(seed).digest(3 * 1000)
    while len(found) < N:
        a, b, c = stream[at : at + 3]
        at += 3
        found += [each for each in (a + 256 * (b % 16), b // 16 + 16 * c) if each < Q]
    return found[:N]


def noise(seed, number):
    """Algorithm 8, of what PRF gives."""
    data = hashlib.shake_256(seed + bytes([number])).digest(64 * ETA)
    bits = [data[i // 8] >> i % 8 & 1 for i in range(8 * len(data))]
    pairs = (bits[2 * ETA * i : 2 * ETA * (i + 1)] for i in range(N))
    return [(sum(each[:ETA]) - sum(each[ETA:])) % Q for each in pairs]


def encode(f, bits):
    """Algorithm 5."""
    number = sum(value << bits * i for i, value in enumerate(f))
    return number.to_bytes(32 * bits, "little")


def decode(data, bits):
    """Algorithm 6."""
    number = int.from_bytes(data, "little")
    return [(number >> bits * i & ((1 << bits) - 1)) % (Q if bits == 12 else 1 << bits) for i in range(N)]


def compress(f, bits):
    """Equation 4.7."""
    return [((value << bits + 1) + Q) // (2 * Q) % (1 << bits) for value in f]


@lru_cache
def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def public_key(seed):
    """The encapsulation key of the seeds d and z (algorithms 13 and 16)."""
    d = seed[:32]
    expanded = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = expanded[:32], expanded[32:]
    s, e = ([ntt(noise(sigma, number)) for number in range(first, first + K)] for first in (0, K))
    t = [add(*map(multiply, row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return b"".join(encode(each, 12) for each in t) + rho


def encapsulate(key, m):
    """A secret and its carrier, of the random number m (algorithms 14 and 17)."""
    mixed = hashlib.sha3_512(m + hashlib.sha3_256(key).digest()).digest()
    secret, r = mixed[:32], mixed[32:]
    t = [decode(key[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    a = matrix(key[384 * K :])
    y = [ntt(noise(r, number)) for number in range(K)]
    e1 = [noise(r, number) for number in range(K, 2 * K)]
    columns = [inverse_ntt(add(*(multiply(a[j][i], y[j]) for j in range(K)))) for i in range(K)]
    u = [add(column, e1[i]) for i, column in enumerate(columns)]
    message = [bit * ((Q + 1) // 2) for bit in decode(m, 1)]
    v = add(inverse_ntt(add(*map(multiply, t, y))), noise(r, 2 * K), message)
    carrier = b"".join(encode(compress(each, DU), DU) for each in u) + encode(compress(v, DV), DV)
    return secret, carrier

"""What other libraries take for one value: encrypt, add, decrypt, and bytes.

Each is used as its users do, one core, and sampled, not run to the end.
"""

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hecli.schemes.paillier.keys import PrivateKey

T = TypeVar("T")
Values = npt.NDArray[np.float32]


class PerValue(NamedTuple):
    """Microseconds and bytes that one value takes.

    Args:
        encrypt: Microseconds to encrypt,
        add: to add one value of an update to a sum,
        decrypt: and to decrypt.
        size: Bytes encrypted.
    """

    encrypt: float
    add: float
    decrypt: float
    size: float


def sample_values(count: int) -> Values:
    """Values much like a gradient's: float32, near normal, at the scales of different layers.

    Args:
        count: How many.

    Returns:
        The values.
    """
    return _near_normal(count) * _scales(count)


def phe(key: PrivateKey) -> PerValue:
    """Phe with gmpy2: floats as `encrypt` takes them, and `+` between two parties' ciphertexts.

    Where two floats differ much in size, phe has to align their exponents
    before it adds, which takes it longer than the addition.

    Args:
        key: The key whose size counts.

    Returns:
        What one value takes.
    """
    private = key.to_phe()
    public = private.public_key
    count, repeats = 64, 5
    scales = _scales(count)
    one, other = ([float(each) for each in _near_normal(count) * scales] for _ in range(2))
    encrypt, mine = _timed(lambda: [public.encrypt(value) for value in one], count)
    theirs = [public.encrypt(value) for value in other]
    pairs = list(zip(mine, theirs, strict=True)) * repeats
    add, _ = _timed(lambda: [a + b for a, b in pairs], len(pairs))
    decrypt, _ = _timed(lambda: [private.decrypt(each) for each in mine], count)
    # As text it would be more: this is the bare number.
    return PerValue(encrypt, add, decrypt, 2 * public.n.bit_length() / 8)


def tenseal(key: PrivateKey) -> PerValue:
    """TenSEAL: CKKS with N = 8192 and moduli of 60, 40 and 60 bits, 4096 values in a vector.

    Args:
        key: The key whose size counts.

    Returns:
        What one value takes.
    """
    import tenseal as library  # noqa: PLC0415 - an extra

    del key  # CKKS has its own
    slots = 4096
    context = library.context(
        library.SCHEME_TYPE.CKKS, poly_modulus_degree=2 * slots, coeff_mod_bit_sizes=[60, 40, 60]
    )
    context.global_scale = 2**40
    values = [float(value) for value in sample_values(slots)]
    rounds = range(20)
    count = len(rounds) * slots
    encrypt, vectors = _timed(lambda: [library.ckks_vector(context, values) for _ in rounds], count)
    add, _ = _timed(lambda: [vectors[0] + each for each in vectors], count)
    decrypt, _ = _timed(lambda: [each.decrypt() for each in vectors], count)
    return PerValue(encrypt, add, decrypt, len(vectors[0].serialize()) / slots)


def sf_heu(key: PrivateKey) -> PerValue:
    """SecretFlow's HEU: ZPaillier with a modulus of the same size, one value in a ciphertext.

    Args:
        key: The key whose size counts.

    Returns:
        What one value takes.
    """
    from heu import phe as library  # noqa: PLC0415 - an extra

    kit = library.setup(library.SchemaType.ZPaillier, key.public.n.bit_length())
    encryptor, evaluator, decryptor = kit.encryptor(), kit.evaluator(), kit.decryptor()
    values = [kit.plaintext(int(value * 2**24)) for value in sample_values(50)]
    encrypt, ciphertexts = _timed(lambda: [encryptor.encrypt(value) for value in values], len(values))
    add, _ = _timed(lambda: [evaluator.add(ciphertexts[0], each) for each in ciphertexts], len(values))
    decrypt, _ = _timed(lambda: [decryptor.decrypt(each) for each in ciphertexts], len(values))
    return PerValue(encrypt, add, decrypt, len(ciphertexts[0].serialize()))


PEERS: dict[str, Callable[[PrivateKey], PerValue]] = {"phe": phe, "tenseal": tenseal, "sf-heu": sf_heu}
MODULES = {"phe": "phe", "tenseal": "tenseal", "sf-heu": "heu"}


def installed(name: str) -> bool:
    """Whether the library of a peer (a key of PEERS) can be imported.

    Args:
        name: A key of PEERS.

    Returns:
        Whether it can.
    """
    return find_spec(MODULES[name]) is not None


def _near_normal(count: int) -> Values:
    uniform = np.frombuffer(os.urandom(16 * count), np.int32).reshape(count, 4)
    values: Values = (uniform.sum(axis=1) * 2.0**-32).astype(np.float32)
    return values


def _scales(count: int) -> Values:
    """Factors from 0.001 to 1, evenly spread over the orders of magnitude."""
    return np.logspace(-3, 0, count, dtype=np.float32)


def _timed(work: Callable[[], T], count: int) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) / count * 1e6, result

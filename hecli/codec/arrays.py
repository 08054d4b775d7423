"""The arrays that the codec works on."""

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
"""Values of one tensor on their way, flat: real numbers, or lanes."""

Lanes = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

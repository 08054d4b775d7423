"""The kernels as C computes them with the processor's vector instructions: `native/` in the sources.

Where they were not built, or the processor has not what they take, gmpy2 computes.
"""

"""Tensors to lanes, and lane sums to means: a chain of steps, each with its inverse beside it."""

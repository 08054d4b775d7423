"""Tensors to lanes, and lane sums to means."""

"""Masks: what hides an update and cancels in the sum."""

"""Masks: what hides an update and cancels in the sum, with a key or instead of one."""

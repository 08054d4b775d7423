"""The ways to protect an update beside each other, measured on a user's own tensors and data."""

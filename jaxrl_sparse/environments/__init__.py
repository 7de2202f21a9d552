"""Environments with gymnax's interface, and the layer that steps thousands of them."""

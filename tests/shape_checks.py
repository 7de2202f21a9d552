"""The run-time checker of shapes and types that the tests put on every function of the package."""

from beartype import beartype


def typechecker(function):
    """beartype, but for constructors: jax rebuilds dataclasses with tracers, None and sentinels in place of arrays."""
    return function if function.__name__ == "__init__" else beartype(function)

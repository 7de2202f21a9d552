"""The options that constructors of environments take, looked at before they are called."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from jaxrl_sparse.base import require


def require_options(options: dict[str, Any], known: Iterable[str]) -> None:
    """Refuses options that a constructor does not take.

    Raises:
      ValueError: naming the first one that is unknown, and all that are known.
    """
    known = tuple(known)
    for option in options:
        require(
            "option", option, lambda name: name in known, f"one of {', '.join(known)}" if known else "no option at all"
        )


def parameter_names(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a factory's parameters, without *args and **kwargs."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(name for name, p in inspect.signature(factory).parameters.items() if p.kind not in variadic)

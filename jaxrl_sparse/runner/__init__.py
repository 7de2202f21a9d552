"""The impure floor: running algorithms by name, checkpoints, run directories, plots and the command line.

from jaxrl_sparse.runner import resume, run
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxrl_sparse.runner.launch import plot, resume, run

__all__ = ["plot", "resume", "run"]


def __getattr__(name: str) -> Any:
    # Orbax takes half a second to import: `list` and `--help` do without.
    if name in __all__:
        from jaxrl_sparse.runner import launch

        return getattr(launch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

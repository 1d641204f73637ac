"""Run, compare and explain experiments on small chest X-ray classifiers. Not for clinical use.

The public API, each part imported when it is first used:

- :func:`run` trains, as the command ``cxr-run`` does, and :func:`load_runs` reads what was trained; :func:`load` loads
  a model that was;
- :func:`compare` compares configurations, with intervals, as the page of ``cxr-report`` does; :func:`forest` draws
  that, and :func:`curves` how they trained;
- :func:`comparison_table` and :func:`study_figure` compare the study's models with what the study published.

``help(cxr_runner.compare)`` explains one of them, with an example.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxr_runner.api import compare, comparison_table, curves, forest, load, load_runs, run, study_figure

    __version__: str


__all__ = [
    "__version__",
    "compare",
    "comparison_table",
    "curves",
    "forest",
    "load",
    "load_runs",
    "run",
    "study_figure",
]


def __getattr__(name: str) -> Any:
    """Look up what is asked for, so that the commands start at once: imports and metadata take a while."""
    if name == "__version__":
        from importlib.metadata import version

        return version("cxr-runner")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cxr_runner import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """List the public API, imported or not: completion and ``help`` show it."""
    return sorted(__all__)

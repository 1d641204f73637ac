"""Run, compare and explain experiments on small chest X-ray classifiers. Not for clinical use.

The public API, imported when it is first used: :func:`run` trains, :func:`load_runs` reads what was trained,
:func:`comparison_table` compares it with the study, :func:`study_figure` draws the study's figures from it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxr_runner.api import comparison_table, load_runs, run, study_figure

    __version__: str


__all__ = ["__version__", "comparison_table", "load_runs", "run", "study_figure"]


def __getattr__(name: str) -> Any:
    """Look up what is asked for, so that the commands start at once: imports and metadata take a while."""
    if name == "__version__":
        from importlib.metadata import version

        return version("cxr-runner")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cxr_runner import api

    return getattr(api, name)

"""Run, compare and explain experiments on small chest X-ray classifiers. Not for clinical use.

The public API, imported when it is first used: :func:`run` trains, :func:`load_runs` reads what was trained,
:func:`comparison_table` holds it against the study, :func:`study_figure` draws the study's figures from it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxr_runner.api import comparison_table, run, study_figure
    from cxr_runner.runs import load_runs

    __version__: str

__all__ = ["__version__", "comparison_table", "load_runs", "run", "study_figure"]

_PLACES = {"comparison_table": "api", "load_runs": "runs", "run": "api", "study_figure": "api"}


def __getattr__(name: str) -> Any:
    """Look up what is asked for, so that the commands start at once: imports and metadata take a while."""
    if name == "__version__":
        from importlib.metadata import version

        return version("cxr-runner")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)

"""Run, compare and explain experiments on small chest X-ray classifiers. Not for clinical use."""

from importlib.metadata import version

__version__ = version("cxr-runner")

"""Run, compare and explain experiments on small chest X-ray classifiers. Not for clinical use."""


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: reading the metadata of the installed package takes a while."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("cxr-runner")

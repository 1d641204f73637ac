"""The folder of what is computed once: stores of images, and what was compiled for this machine."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from cxr_runner.base.errors import user_path


def cache_dir() -> Path:
    """Return ``$CXR_CACHE``, or the user's cache directory."""
    chosen = os.environ.get("CXR_CACHE")
    return user_path("CXR_CACHE", chosen) if chosen else user_cache_path("cxr_runner")

"""Where the commands of the installed package are: not always beside the interpreter, nor on the path."""

import shutil
import sys
from pathlib import Path

import cxr_runner.__init__


def installed(name: str) -> str:
    """Return the path of a command of the package."""
    beside_the_package = Path(cxr_runner.__file__).parents[1] / "bin"  # pip install --target
    folders = [beside_the_package, Path(sys.executable).parent]
    path = next((str(folder / name) for folder in folders if (folder / name).is_file()), None) or shutil.which(name)
    assert path is not None, f"{name} is not installed"
    return path

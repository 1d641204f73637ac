"""Where the commands of the installed package are: not always beside the interpreter (``pip install --target``)."""

import shutil
from importlib.metadata import distribution


def installed(name: str) -> str:
    """Return the path of a command that the installed package has brought."""
    files = distribution("cxr-runner").files or []
    paths = [file.locate() for file in files if file.name == name]
    path = next((str(path) for path in paths if path.is_file()), None) or shutil.which(name)
    assert path is not None, f"{name} is not installed"
    return path

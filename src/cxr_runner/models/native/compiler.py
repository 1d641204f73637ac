"""C++ sources, compiled for this machine's CPU when they are first needed, and kept in the cache."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.checksums import digest
from cxr_runner.base.files import replacing
from cxr_runner.base.machine import cpu_features

_FLAGS = ("-std=c++20", "-O3", "-shared", "-fPIC", "-pthread")
_MOST_SECONDS = 600  # the first time, the compiler of the ziglang wheel compiles its own library


class CompilerError(Exception):
    """There is no compiler, or it refuses; the text says which, in a phrase."""


def find_compiler() -> list[str] | None:
    """Return the C++ compiler as the beginning of a command line: ``$CXX``, a usual one, or that of the ziglang wheel.

    None where there is none, and on Windows, where this was never tried.
    """
    if sys.platform == "win32":
        return None
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return [found]
    return [sys.executable, "-m", "ziglang", "c++"] if find_spec("ziglang") is not None else None


def compiled(source: Path, definitions: Mapping[str, int]) -> Path:
    """Return a library of a source, compiled for this CPU now or before.

    Args:
        source: a file of C++20.
        definitions: macros that it needs.

    Raises:
        CompilerError: there is none yet, and it cannot be compiled.
    """
    cpu = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    flags = [*_FLAGS, cpu, *(f"-D{name}={value}" for name, value in definitions.items())]
    identity = digest("\n".join([source.read_text("utf-8"), *flags, cpu_features()]), 16)
    library = cache_dir() / "native" / f"{source.stem}-{identity}.so"
    if library.exists():
        return library
    compiler = find_compiler()
    if compiler is None:
        raise CompilerError("no C++ compiler found; pip install 'cxr-runner[native]' brings one")
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with replacing(library) as path:
            _compile([*compiler, *flags, str(source), "-o", str(path)])
    except OSError as error:
        raise CompilerError(f"{library.parent} cannot be written to ({error.strerror})") from error
    return library


def load_library(source: Path, definitions: Mapping[str, int]) -> ctypes.CDLL:
    """Load a library of a source, see :func:`compiled`.

    Raises:
        CompilerError: it cannot be compiled or loaded.
    """
    path = compiled(source, definitions)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CompilerError(f"{path.name} cannot be loaded: {error}") from error


def _compile(command: list[str]) -> None:
    name = "ziglang" if "ziglang" in command else command[0]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_MOST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompilerError(f"{name} did not compile: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise CompilerError(f"{name} did not compile: {lines[0].strip()}")

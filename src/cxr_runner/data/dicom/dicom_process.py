"""Decoding in a process apart, which a damaged image may end without ending this one.

The process is another module, run by the same interpreter, which calls :func:`serve`: it reads the bytes of a file and
the index of a frame from its standard input, writes an array to its standard output, and ends when nobody asks it for a
while. What its libraries print is thrown away: they may quote what they read.
"""

import atexit
import os
import select
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_PATIENCE = 10  # seconds without work after which a process ends
_REQUEST, _ANSWER = struct.Struct("<QQ"), struct.Struct("<Q")
_idle: list[subprocess.Popen[bytes]] = []  # each is taken out by the one thread that uses it


def ask_apart(module: str, data: bytes, index: int) -> NDArray[Any] | None:
    """Return what the process of a module makes of a frame; None where it raises an error, or ends.

    Args:
        module: name of the module, always the same.
        data: bytes of a file.
        index: index of the frame.
    """
    while True:
        process = _take(module)
        try:
            answer = _ask(process, data, index)
        except BaseException:
            process.kill()
            _end(process)
            raise
        if answer is not None:
            _idle.append(process)
            break
        if _end(process) != 0:  # else it ended of itself, for want of work, just as it was asked
            break
    if not answer:
        return None
    values: NDArray[Any] = np.load(BytesIO(answer), allow_pickle=False)
    return values


def _take(module: str) -> subprocess.Popen[bytes]:
    with suppress(IndexError):
        return _idle.pop()
    # -P: what lies in the working directory is no module of ours. A group of its own: Ctrl-C is for this process.
    command = [sys.executable, "-P", "-m", module]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, process_group=0)


def _ask(process: subprocess.Popen[bytes], data: bytes, index: int) -> bytes | None:
    """Return the answer, empty where the image is damaged; None where the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.write(_REQUEST.pack(len(data), index))
        process.stdin.write(data)
        process.stdin.flush()
        head = process.stdout.read(_ANSWER.size)
        if len(head) == _ANSWER.size:
            (length,) = _ANSWER.unpack(head)
            answer = process.stdout.read(length)
            return answer if len(answer) == length else None
    return None


def _end(process: subprocess.Popen[bytes]) -> int:
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            assert stream is not None
            stream.close()
    return process.wait()


@atexit.register
def _end_all() -> None:
    while _idle:
        _end(_idle.pop())


def serve(decode: Callable[[bytes, int], NDArray[Any]]) -> None:
    """Answer requests until there are no more; what the process of a module does.

    Args:
        decode: makes an array of the bytes of a file and the index of a frame.
    """
    requests: IO[bytes] = os.fdopen(os.dup(0), "rb", buffering=0)
    answers: IO[bytes] = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while select.select([requests], [], [], _PATIENCE)[0]:
        head = requests.read(_REQUEST.size)
        if len(head) < _REQUEST.size:
            return
        length, index = _REQUEST.unpack(head)
        data, file = bytearray(), BytesIO()
        while len(data) < length and (part := requests.read(length - len(data))):
            data += part
        with suppress(Exception):  # whatever it is, the image is damaged
            np.save(file, decode(bytes(data), index), allow_pickle=False)
        answers.write(_ANSWER.pack(len(file.getvalue())) + file.getvalue())
        answers.flush()

"""Checkpoints: where an unfinished run stands, on disk."""

from importlib.metadata import version
from io import BytesIO
from typing import Any

import torch

from cxr_runner.artifacts.rundir import RunDir
from cxr_runner.base.checksums import append_checksum, has_checksum
from cxr_runner.base.files import replacing


def write_checkpoint(files: RunDir, state: dict[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        files: the run directory.
        state: plain values and tensors.
    """
    content = BytesIO()  # torch, writing to a full disk itself, would not say so
    torch.save(state, content)
    with replacing(files.checkpoint) as temporary:
        temporary.write_bytes(content.getbuffer())
        append_checksum(temporary, _about(files))


def read_checkpoint(files: RunDir) -> dict[str, Any]:
    """Read the checkpoint of a run; PyTorch itself would not notice a changed bit.

    Args:
        files: the run directory.

    Raises:
        ValueError: it is damaged, or another run's, or was written by another version, which may round differently.
        OSError: it cannot be read.
    """
    if not has_checksum(files.checkpoint, _about(files)):
        raise ValueError(f"{files.checkpoint} is not what this run has written")
    state: dict[str, Any] = torch.load(files.checkpoint, map_location="cpu", weights_only=True)
    return state


def _about(files: RunDir) -> str:
    return f"{files.path.parent.name} {files.path.name} {version('cxr-runner')} {torch.__version__}"

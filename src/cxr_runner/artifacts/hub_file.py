"""Names of the files in a folder with a model that is handed on."""

from pathlib import Path

HUB_FORMAT = 1  # raised when the folder changes for its readers
METADATA = "cxr_runner.json"  # also the extra file of a program of torch.export
HELD_OUT, TRAINING = "held_out.csv", "training_images.npz"


def is_hub(path: Path) -> bool:
    """Return whether a path is that of such a folder."""
    return (path / METADATA).is_file()

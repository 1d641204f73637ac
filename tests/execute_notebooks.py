"""Runs the notebooks and keeps their outputs, small and without paths: ``make notebooks``."""

import os
import sys
from base64 import b64decode, b64encode
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
MOST_BYTES = 45_000  # of a picture


def execute(notebook: Path, folder: Path) -> None:
    """Run a notebook in a folder and write it back with its outputs.

    Args:
        notebook: file.
        folder: working directory of its kernel, whose path is left out of what is printed.
    """
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=1800,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    for cell in content.cells:
        cell.metadata.clear()
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = _without(folder, output.text)
            for kind, shown in output.get("data", {}).items():
                output.data[kind] = _smaller(shown) if kind == "image/png" else _without(folder, shown)
    content.metadata.language_info = {"name": "python"}
    nbformat.write(content, notebook)


def _without(folder: Path, text: str) -> str:
    return text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def _smaller(png: str) -> str:
    """Reduce a picture to few colours, and its size until it has at most :data:`MOST_BYTES`."""
    picture = Image.open(BytesIO(b64decode(png))).convert("RGB")
    while True:
        buffer = BytesIO()
        picture.quantize(48, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MOST_BYTES:
            return b64encode(buffer.getvalue()).decode()
        picture = picture.resize((picture.width * 4 // 5, picture.height * 4 // 5), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        os.environ["CXR_CACHE"] = str(Path(name).resolve() / "cache")
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            if not sys.argv[1:] or path.stem in sys.argv[1:]:
                print(path.name, flush=True)
                execute(path, Path(name))

"""For whoever has a GPU once, in at most four minutes: is everything right there, and how fast is it?

``make gpu``, or ``PYTHONPATH=tests python -m benchmarks gpu`` where all is installed and no network is. Synthetic data
only. A step that fails is a row of the table, not the end. Leaves ``gpu.json`` and ``gpu.md``.
"""

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_checks, gpu_speed
from benchmarks.gpu_steps import Step
from benchmarks.measuring import Options, describe_machine, read_options
from cxr_runner.base.files import write_json

_SECONDS = 180  # a step that would begin later is left out: the longest takes less than a minute


@dataclass(frozen=True)
class Row:
    """What became of a step.

    Attributes:
        part: ``check`` or ``speed``.
        name: what was checked or measured.
        result: ``ok``, ``FAILED`` or ``left out``.
        said: what a reader has to know of it.
        figures: of a measured step, ready for JSON.
        seconds: that the step took.
    """

    part: str
    name: str
    result: str
    said: str
    figures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the command; return its exit code: 1 if a step failed, 2 where there is no GPU."""
    options = read_options(__doc__ or "", arguments, device="cuda")
    if options.device == "cuda" and not torch.cuda.is_available():
        print("gpu: torch can use no CUDA device here; --device cpu --quick tries the program itself", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine(options)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CXR_CACHE"] = f"{folder}/cache"
        rows = _perform_all(options, Path(folder))
    write_json(options.out / "gpu.json", {"quick": options.quick, "machine": machine, "rows": [*map(asdict, rows)]})
    text = as_markdown(rows, machine, options)
    (options.out / "gpu.md").write_text(text, "utf-8")
    print(f"\n{text}")
    return 1 if any(row.result == "FAILED" for row in rows) else 0


def _perform_all(options: Options, folder: Path) -> list[Row]:
    rows, start = [], time.perf_counter()
    for step in [*gpu_checks.steps(options, folder), *gpu_speed.steps(options, folder)]:
        if time.perf_counter() - start > _SECONDS:
            rows.append(Row(step.part, step.name, "left out", f"{_SECONDS} seconds were over"))
        else:
            rows.append(_perform(step))
        print(f"{rows[-1].result:8} {rows[-1].seconds:5.1f} s  {step.name}: {rows[-1].said}", flush=True)
    return rows


def _perform(step: Step) -> Row:
    start = time.perf_counter()
    try:
        said, figures = step.perform()
    except Exception as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        return Row(step.part, step.name, "FAILED", said, {}, time.perf_counter() - start)
    return Row(step.part, step.name, "ok", said, figures, time.perf_counter() - start)


def as_markdown(rows: Sequence[Row], machine: dict[str, Any], options: Options) -> str:
    """Return both tables, ready for docs/performance.md."""
    gpu, cpu = machine["gpu"] or "no GPU", f"{machine['cpu']}, {machine['cores']} cores"
    lines = [f"Measured on {gpu} ({cpu}), torch {machine['torch']}, {machine['date']}, `make gpu`, synthetic data."]
    lines += ["`--quick`: tiny data, the figures mean nothing."] if options.quick else []
    lines += ["", "| check | result | |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.result} | {_cell(row.said)} |" for row in rows if row.part == "check"]
    lines += [
        "",
        "| an epoch of 4,077 images, batches of 32 | seconds | plain eager PyTorch | faster | peak memory | plain |",
    ]
    lines += ["|---|---|---|---|---|---|"]
    lines += [_speed_row(row) for row in rows if row.part == "speed"]
    return "\n".join(lines) + "\n"


def _speed_row(row: Row) -> str:
    if row.result != "ok":
        return f"| {row.name} | {row.result}: {_cell(row.said)} | | | | |"
    own, plain = row.figures["seconds"], row.figures.get("plain_seconds")
    cells = [f"{own:.3f}", "" if plain is None else f"{plain:.3f}", "" if plain is None else f"{plain / own:.2f}x"]
    cells += [
        f"{row.figures[key] / 1e6:,.0f} MB" if row.figures.get(key) else ""
        for key in ("peak_bytes", "plain_peak_bytes")
    ]
    return f"| {row.name} | {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())

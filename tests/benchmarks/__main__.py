"""All benchmarks, one after another, each in a process of its own: ``python -m benchmarks [NAME ...] [--quick]``.

``gpu`` is run when it is named only: it is for machines with a GPU.
"""

import subprocess
import sys

ALL = ("linear", "cnn", "kernels", "sweep", "folds", "trainer", "decoding", "startup", "scaling")
NAMES = (*ALL, "gpu")


def main() -> None:
    """Run the named benchmarks, or all; other arguments go to each of them."""
    arguments = sys.argv[1:]
    names = [argument for argument in arguments if argument in NAMES]
    others = [argument for argument in arguments if argument not in NAMES]
    if others and not others[0].startswith("-"):
        raise SystemExit(f"{others[0]}: no such benchmark, valid are {', '.join(NAMES)}")
    for name in names or ALL:
        code = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *others]).returncode
        if code:
            raise SystemExit(code)


if __name__ == "__main__":
    main()

"""All benchmarks, one after another, each in a process of its own: ``python -m benchmarks [NAME ...] [--quick]``."""

import subprocess
import sys

ALL = ("linear", "cnn", "sweep", "trainer", "decoding", "startup", "scaling")


def main() -> None:
    """Run the named benchmarks, or all; other arguments go to each of them."""
    arguments = sys.argv[1:]
    names = [argument for argument in arguments if argument in ALL]
    others = [argument for argument in arguments if argument not in ALL]
    if others and not others[0].startswith("-"):
        raise SystemExit(f"{others[0]}: no such benchmark, valid are {', '.join(ALL)}")
    for name in names or ALL:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *others], check=True)


if __name__ == "__main__":
    main()

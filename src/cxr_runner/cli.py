"""The entry points, the commands of this package; nothing heavy is imported before there is work to do."""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from cxr_runner.base.errors import RunFailedError, UserError, print_error
from cxr_runner.base.signals import interrupt_on_sigterm

_TEXT_KEYS = ("data.root", "data.path", "data.title", "data.citation", "model.weights", "outputs")


DONE, RUN_FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def run() -> NoReturn:
    """Compose the configuration from the command line and train: the command ``cxr-run``."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        from cxr_runner.config.help import usage

        print(usage(), end="")
        sys.exit(DONE)
    # Hydra would print tracebacks of its own and exit; this makes it raise instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    interrupt_on_sigterm()
    sys.argv[1:] = map(_quote_text, sys.argv[1:])
    started_together = "TORCHELASTIC_RUN_ID" in os.environ
    if started_together and os.environ["RANK"] != "0":
        with _ending("cxr-run"):
            from cxr_runner.training.distributed import help_leader, leave

            help_leader()
            leave()
    import hydra

    from cxr_runner.commands.run import Failures, Task

    failures = Failures()
    try:
        if any("glob(" in argument for argument in sys.argv[1:]):
            from cxr_runner.config.messages import check_globs

            check_globs(sys.argv[1:])
        hydra.main(version_base="1.3", config_path="pkg://cxr_runner.conf", config_name="config")(Task(failures))()
    except BrokenPipeError:
        _forget_output()
    except UserError as error:
        failures.add(error)
    except Exception as error:  # the task lets none through: this is the composition, or a launcher that lost a job
        from cxr_runner.config.messages import explain_ending
        from cxr_runner.config.schema import KEYS

        failures.add(explain_ending(error, sys.argv[1:], KEYS))
    except KeyboardInterrupt:
        print("cxr-run: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(INTERRUPTED)
    problems = failures.collect()
    if started_together and not problems:  # otherwise torchrun ends the helpers
        from cxr_runner.training.distributed import dismiss_helpers, leave

        dismiss_helpers()
        leave()
    if len(problems) > 1:
        print(f"cxr-run: {len(problems)} problems in the sweep:", *problems, sep="\n  ", file=sys.stderr)
    if any(isinstance(problem, RunFailedError) for problem in problems):
        sys.exit(RUN_FAILED)
    sys.exit(USER_ERROR if problems else DONE)


def report() -> NoReturn:
    """Gather finished runs into tables and figures on a page: the command ``cxr-report``."""
    parser = argparse.ArgumentParser(
        prog="cxr-report",
        description="The study's tables and figures, from all finished runs below a folder, on a page.",
    )
    parser.add_argument("root", nargs="?", default="outputs", type=Path, help="where the runs are (default: outputs)")
    parser.add_argument("--out", type=Path, help="where the report goes (default: ROOT/report)")
    arguments = parser.parse_args()
    with _ending("cxr-report"):
        from cxr_runner.base.progress import make_reporter
        from cxr_runner.report.write import write_report

        write_report(arguments.root, arguments.out or arguments.root / "report", make_reporter("auto"))
    sys.exit(DONE)


def study() -> NoReturn:
    """Train both tables of the study and report on them: the command ``cxr-study``."""
    parser = argparse.ArgumentParser(
        prog="cxr-study",
        usage="cxr-study [options] [KEY=VALUE ...]",
        description="Train the 32 models of the study, say before how long that will take, and report on them. "
        "What is finished is not trained again: the same command goes on where it was stopped.",
    )
    parser.add_argument(
        "--data", default="phantom", help="phantom, chest_xray or a folder of images (default: phantom)"
    )
    parser.add_argument("--seeds", default=10, type=int, help="seeds of every model (default: 10)")
    parser.add_argument("--size", default=640, type=int, help="side of the images in pixels (default: 640)")
    presets = "laptop (default): CNNs and Adam with fewer seeds, CNNs at 64 pixels; full: all as asked for"
    parser.add_argument("--preset", default="laptop", choices=("laptop", "full"), help=presets)
    parser.add_argument("--outputs", default="outputs/study", type=Path, help="where runs go (default: outputs/study)")
    parser.add_argument("--forecast", action="store_true", help="only say how long it will take")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="further settings of cxr-run")
    given = parser.parse_args()
    interrupt_on_sigterm()
    try:
        from cxr_runner.commands.study import Order, run_study

        order = Order(given.preset, given.data, given.seeds, given.size, given.outputs, tuple(given.overrides))
        run_study(order, only_forecast=given.forecast)
    except (UserError, RunFailedError) as error:
        print_error("cxr-study", error)
        sys.exit(USER_ERROR if isinstance(error, UserError) else RUN_FAILED)
    except KeyboardInterrupt:
        print("cxr-study: interrupted; the same command goes on where it stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(DONE)


def data() -> NoReturn:
    """Look at a data set before anything is trained on it: the command ``cxr-data``."""
    parser = argparse.ArgumentParser(
        prog="cxr-data",
        usage="cxr-data {audit,describe,prepare} [KEY=VALUE ...]",
        description="Look at a data set before anything is trained on it. Keys are those of cxr-run, e.g. "
        "cxr-data audit data=folder data.root=~/xrays data.image_size=224; cxr-run --help lists them.",
        epilog="audit writes index.html and audit.json to OUTPUTS/audits/TITLE-FINGERPRINT/; cxr-report adds its "
        "baselines to the tables of runs on the same images.",
    )
    tasks = "audit: duplicates, patients across splits, shortcuts, on a page; describe: what it holds, at once; "
    tasks += "prepare: decode all images and build the Gram matrix ahead of a sweep"
    parser.add_argument("task", choices=("audit", "describe", "prepare"), help=tasks)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of cxr-run")
    given = parser.parse_args()
    interrupt_on_sigterm()
    with _ending("cxr-data"):
        from cxr_runner.commands.data import perform

        perform(given.task, [_quote_text(argument) for argument in given.overrides])
    sys.exit(DONE)


@contextmanager
def _ending(command: str) -> Iterator[None]:
    """End a command, or a helper's part in one: exit where it cannot be carried out, and say why in one line."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
    except (UserError, RunFailedError) as error:
        print_error(command, error)
        sys.exit(USER_ERROR if isinstance(error, UserError) else RUN_FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _quote_text(argument: str) -> str:
    """Quote a path or title that Hydra's grammar would refuse for its ``~``, ``=``, brackets or spaces."""
    key, _, value = argument.partition("=")
    plain = key in _TEXT_KEYS and re.search(r"[~=()\s]", value) and not re.search(r"['\",$\[\]{}\\\n]", value)
    return f"{key}='{value}'" if plain else argument


def _forget_output() -> None:
    """Print nothing more: the reader of a pipe, such as head, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

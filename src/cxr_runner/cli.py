"""The entry points of the commands; nothing heavy is imported before there is work to do."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cxr_runner.base.errors import RunFailedError, UserError, print_error
from cxr_runner.base.output import OutputClosedError, OutputFullError, interrupting_output
from cxr_runner.base.signals import interrupt_on_signals, leave_on_signals, was_interrupted

if TYPE_CHECKING:
    from cxr_runner.commands.failures import Failures

DONE, RUN_FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def run() -> NoReturn:
    """Compose the configuration from the command line and train: the command ``cxr-run``."""
    # Hydra would print tracebacks of its own and exit; this makes it raise instead.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    given = sys.argv[1:]
    with _ending("cxr-run", "; the same command goes on from the last checkpoint"):
        if given in (["--help"], ["-h"]):
            from cxr_runner.config.help import usage

            print(usage(), end="")
            sys.exit(DONE)
        started_together = "TORCHELASTIC_RUN_ID" in os.environ
        if started_together and os.environ["RANK"] != "0":
            from cxr_runner.training.distributed import help_leader, leave

            try:
                help_leader()
            except KeyboardInterrupt:  # the leader says so
                sys.exit(INTERRUPTED)
            leave()
        from cxr_runner.commands.failures import Failures

        failures = Failures("cxr-run")
        with _adding(failures, given):
            from cxr_runner.config.options import read_command_line
            from cxr_runner.config.validation import KEYS

            line = read_command_line(given, KEYS)
            if line.help:
                from cxr_runner.config.choices import explain_choices

                print(explain_choices(line), end="")
            else:
                from cxr_runner.commands.run import Task
                from cxr_runner.config.loading import call_hydra

                call_hydra(Task(failures), line)
        problems = failures.collect()
        if started_together and not problems:  # otherwise torchrun ends the helpers
            from cxr_runner.training.distributed import dismiss_helpers, leave

            dismiss_helpers()
            leave()
    _exit_with(problems)


@contextmanager
def _adding(failures: "Failures", arguments: Sequence[str]) -> Iterator[None]:
    """Add what goes wrong to the failures of ``cxr-run``, in words of the command line."""
    try:
        yield
    except (UserError, RunFailedError) as error:
        failures.add(error)
    except Exception as error:  # the task lets none through: the composition, or a launcher that lost a job
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        from cxr_runner.config.messages import explain_ending
        from cxr_runner.config.validation import KEYS

        failures.add(explain_ending(error, arguments, KEYS))


def report() -> NoReturn:
    """Gather finished runs into tables and figures on a page: the command ``cxr-report``."""
    with _ending("cxr-report"):
        from cxr_runner.commands.arguments import read_report_arguments

        given = read_report_arguments(sys.argv[1:])
        from cxr_runner.commands.report import archive, send, write
        from cxr_runner.report.collected import Withheld
        from cxr_runner.report.report_options import ReportOptions

        if given.archive:
            archive(given.root, given.archive, given.restate, add=given.add)
            sys.exit(DONE)
        if given.to:
            send(given.root, given.to, given.tracking_uri, given.study, given.select, hide_names=given.hide_names)
            sys.exit(DONE)
        withheld = Withheld(names=given.hide_names, images=given.no_images)
        pair = tuple(given.compare) if given.compare else None
        options = ReportOptions(given.baseline, given.metric, tuple(given.select), pair)
        write(given.root, given.out, withheld, options, given.study, given.verify)
    sys.exit(DONE)


def study() -> NoReturn:
    """Train the rows of a study and report on them, or write or check a study file: the command ``cxr-study``."""
    with _ending("cxr-study", "; the same command goes on where it stopped"):
        from cxr_runner.commands.arguments import read_study_arguments

        given = read_study_arguments(sys.argv[1:])
        if given.task == "train":
            from cxr_runner.commands.study import perform_study

            perform_study(given)
        elif given.task == "new":
            from cxr_runner.commands.study_files import write_new_study

            write_new_study(given.study, given.outputs or Path("outputs"))
        else:
            from cxr_runner.commands.study_files import check_study_file

            check_study_file(given.study)
    sys.exit(DONE)


def data() -> NoReturn:
    """Look at a data set before anything is trained on it: the command ``cxr-data``."""
    with _ending("cxr-data"):
        from cxr_runner.commands.arguments import read_data_arguments

        given = read_data_arguments(sys.argv[1:])
        from cxr_runner.commands.data import perform

        perform(given.task, given.overrides, given.config_dir, clear=given.clear, unused_for=given.unused_for)
    sys.exit(DONE)


def model() -> NoReturn:
    """Use finished runs as a model that somebody else can check: the command ``cxr-model``."""
    with _ending("cxr-model"):
        from cxr_runner.commands.arguments import read_model_arguments

        given = read_model_arguments(sys.argv[1:])
        from cxr_runner.commands.model import perform_model

        perform_model(given)
    sys.exit(DONE)


@contextmanager
def _ending(command: str, hint: str = "") -> Iterator[None]:
    """End a command, or a helper's part in one: exit where it cannot be carried out, and say why in one line.

    It stands around the imports too, which take most of the time of a short command.
    """
    interrupt_on_signals()
    try:
        try:
            with interrupting_output():
                yield
        finally:
            leave_on_signals()  # nothing is left to be saved
    except OutputClosedError:  # the reader of a pipe, such as head, has seen enough
        sys.exit(DONE)
    except OutputFullError as error:
        print_error(command, error)
        sys.exit(RUN_FAILED)
    except (KeyboardInterrupt, Exception) as error:
        if was_interrupted(error):
            print(f"{command}: interrupted{hint}", file=sys.stderr)
            sys.exit(INTERRUPTED)
        if not isinstance(error, UserError | RunFailedError):
            raise
        print_error(command, error)
        sys.exit(USER_ERROR if isinstance(error, UserError) else RUN_FAILED)


def _exit_with(problems: Sequence[Exception]) -> NoReturn:
    """End ``cxr-run``, naming all problems of a sweep once more."""
    if len(problems) > 1:
        print(f"cxr-run: {len(problems)} problems in the sweep:", *problems, sep="\n  ", file=sys.stderr)
    if any(isinstance(problem, RunFailedError) for problem in problems):
        sys.exit(RUN_FAILED)
    sys.exit(USER_ERROR if problems else DONE)

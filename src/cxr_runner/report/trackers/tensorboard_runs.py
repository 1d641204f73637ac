"""Runs in TensorBoard: a folder of one file of events for each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import replacing
from cxr_runner.base.markdown import markdown_table
from cxr_runner.report.trackers.tracked_run import TrackedRun, param_text

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class TensorBoardRuns:
    """The runs that a folder of TensorBoard holds, and those that it is sent."""

    def __init__(self, destination: str) -> None:
        """Open a folder, which need not exist.

        Args:
            destination: the folder.

        Raises:
            UserError: it is an address, or nothing.
        """
        if not destination or "://" in destination:
            raise UserError.for_key("--tracking-uri", destination, "must be a folder, from which TensorBoard reads")
        self._folder = Path(destination).expanduser()
        self.uri = str(self._folder)
        self.hint = f"tensorboard --logdir '{self.uri}'"

    def send(self, run: TrackedRun) -> bool:
        """Send a run; return False where it is there already, as it is. One that has changed since is replaced."""
        folder = self._folder / run.run_id.replace("seed=", "seed-")  # seed=0 would be taken for a run directory
        path = folder / f"events.out.tfevents.{int(run.started)}.{run.digest}"
        missing = not path.is_file()
        try:
            if missing:
                folder.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    _write(temporary, run)
            for other in set(folder.glob("*tfevents*")) - {path}:  # replaced, or left by a process that was killed
                other.unlink(missing_ok=True)
        except OSError as error:
            raise UserError.for_key("--tracking-uri", self.uri, f"cannot write there ({error.strerror})") from None
        return missing


def _write(path: Path, run: TrackedRun) -> None:
    """Write the events of a run; the same run gives the same bytes."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=run.started, file_version="brain.Event:2").SerializeToString())

        def add(ended: float, step: int, values: "list[Summary.Value]") -> None:
            writer.write(Event(wall_time=ended, step=step, summary=Summary(value=values)).SerializeToString())

        add(run.started, 0, [_session(run), _text("configuration", run.params), _text("run", run.tags)])
        for epoch in run.epochs:
            add(epoch.ended, epoch.number, _scalars(epoch.values))
        last = run.epochs[-1].number if run.epochs else 0
        add(run.ended, last, [*_scalars(run.results), *_pictures(run), _session_end(run)])


def _scalars(values: Mapping[str, float]) -> "list[Summary.Value]":
    from tensorboard.compat.proto.summary_pb2 import Summary

    return [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]


def _text(tag: str, values: Mapping[str, Any]) -> "Summary.Value":
    """Return a table of names and values, which TensorBoard renders from Markdown."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.util.tensor_util import make_tensor_proto

    table = markdown_table(
        ("key", "value"), [(key, param_text(value)) for key, value in values.items()], (False, False)
    )
    return Summary.Value(tag=tag, metadata=create_summary_metadata(tag, ""), tensor=make_tensor_proto(table.encode()))


def _pictures(run: TrackedRun) -> "Iterator[Summary.Value]":
    from tensorboard.compat.proto.summary_pb2 import Summary

    for path in run.pictures:
        with Image.open(path) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=path.read_bytes())
        yield Summary.Value(tag=path.stem, image=image)


def _session(run: TrackedRun) -> "Summary.Value":
    """Return the configuration as TensorBoard's table of hyperparameters has it."""
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(start_time_secs=run.started)
    for key, value in run.params.items():
        if isinstance(value, bool):
            info.hparams[key].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[key].number_value = value
        else:
            info.hparams[key].string_value = param_text(value)
    return _hparams(SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _session_end(run: TrackedRun) -> "Summary.Value":
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = Status.Value("STATUS_FAILURE" if run.failed else "STATUS_SUCCESS")
    info = SessionEndInfo(status=status, end_time_secs=run.ended)
    return _hparams(SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _hparams(tag: str, content: Any) -> "Summary.Value":
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, create_summary_metadata

    return Summary.Value(tag=tag, metadata=create_summary_metadata(content), tensor=NULL_TENSOR)

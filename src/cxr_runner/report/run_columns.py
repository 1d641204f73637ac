"""The columns of the table of runs, and which entry of which file of a run each of them holds."""

from dataclasses import dataclass

from cxr_runner.artifacts.metrics import COUNTS, METRICS


@dataclass(frozen=True)
class Column:
    """One column of the table of runs, and which entry of which file it holds.

    Attributes:
        name: name of the column.
        file: one of ``config``, ``metrics`` and ``data``.
        key: dotted key in the file.
        kind: type that a value must have.
        required: whether a run without it is left out.
        damaging: whether a run is left out where the entry is there, but not of its kind.
    """

    name: str
    file: str
    key: str
    kind: type
    required: bool = True
    damaging: bool = False


def _rates(split: str, prefix: str = "") -> list[Column]:
    """Return the columns of the metrics of a split; a metric that is there and no number is damage."""
    return [
        Column(prefix + one.key, "metrics", f"{split}.{one.key}", float, required=one.required, damaging=True)
        for one in METRICS
    ]


COLUMNS = (
    Column("data", "data", "title", str),
    Column("fingerprint", "data", "fingerprint", str),
    Column("synthetic", "data", "synthetic", bool),
    Column("image_size", "config", "data.image_size", int),
    Column("model", "config", "model.name", str),
    Column("layers", "config", "model.layers", int, required=False),
    Column("hidden", "config", "model.hidden", int, required=False),
    Column("kernel_size", "config", "model.kernel_size", int, required=False),
    Column("optimizer", "config", "optimizer.name", str),
    Column("lr", "config", "optimizer.lr", float),
    Column("pos_weight", "metrics", "pos_weight", float, required=False),
    Column("batch_size", "config", "batch_size", int),
    Column("epochs", "config", "epochs", int),
    Column("engine", "metrics", "engine", str),
    Column("device", "metrics", "device", str),
    *_rates("test"),
    *(Column(count, "metrics", f"test.{count}", int) for count in COUNTS),
    *(column for column in _rates("val", "val_") if column.name in ("val_accuracy", "val_f1", "val_auroc")),
    Column("collapsed", "metrics", "collapsed", bool),
    Column("collapse_reason", "metrics", "collapse_reason", str, required=False),
    Column("train_seconds", "metrics", "train_seconds", float),
)
SPLIT_COLUMNS = ("split_seed", "fold")
RUN_COLUMNS = ("row", "name", "id", "seed", *SPLIT_COLUMNS, *(column.name for column in COLUMNS), "path")

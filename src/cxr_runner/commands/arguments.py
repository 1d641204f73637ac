"""What the commands understand; argparse and nothing else, so that ``--help`` answers at once.

Flags say what a command does, KEY=VALUE what a run is.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cxr_runner.base.errors import UserError


class _Parser(argparse.ArgumentParser):
    """Answers a mistake in one line, as all else does, and not with its usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help shows what is understood")


def read_report_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those of ``cxr-report``: ``root``, and a value for each of its flags."""
    description = (
        "Compares the finished runs below a folder, on a page: which is best, how sure that is, what is wrong."
    )
    parser = _Parser(prog="cxr-report", description=description)
    root = "where the runs are, or an archive of them (default: outputs)"
    parser.add_argument("root", nargs="?", default="outputs", type=Path, help=root)
    out = "where the report goes (default: ROOT/report; of an archive: report)"
    parser.add_argument("--out", type=Path, help=out)
    study = "study whose rows, claims and published values the runs are compared with: a name, or a file"
    parser.add_argument("--study", metavar="STUDY", help=f"{study} (default: copetti, where its models have runs)")
    parser.add_argument(
        "--baseline", metavar="NAME", help="configuration that the others are compared with: its label, name or id"
    )
    parser.add_argument(
        "--metric",
        default="accuracy",
        choices=("accuracy", "f1", "auroc"),
        help="compare by this first (default: accuracy)",
    )
    select = "only runs with this setting of cxr-run, e.g. model=cnn,linear; several must all hold"
    parser.add_argument("--select", metavar="KEY=VALUE", action="append", default=[], help=select)
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="show two configurations side by side")
    hide = "name no image and no patient in what is written and printed; runs and their files stay as they are"
    parser.add_argument("--hide-names", action="store_true", help=hide)
    bare = "show no image of the data; pictures of weights stay, in which one of few training images may be recognised"
    parser.add_argument("--no-images", action="store_true", help=bare)
    verify = "fail where the report differs from the files in this folder, and say which"
    parser.add_argument("--verify", type=Path, metavar="DIR", help=verify)
    archive = "write no report, but the runs to this file, NAME.tar.xz, from which the same report is made: without "
    archive += "weights, images and the paths of this machine, with the names of images"
    parser.add_argument("--archive", type=Path, metavar="FILE", help=archive)
    restate = "with --archive: say this of the images: root, path, file, title, citation or licence; several times"
    parser.add_argument("--restate", metavar="KEY=VALUE", action="append", default=[], help=restate)
    parser.add_argument("--add", action="store_true", help="with --archive: keep the runs that FILE has already")
    to = "write no report, but send the runs to a tracker (needs the extra of its name)"
    parser.add_argument("--to", choices=("mlflow", "tensorboard"), help=to)
    uri = "--to: a folder, or the address of an MLflow store (default: ROOT/mlruns, ROOT/tensorboard)"
    parser.add_argument("--tracking-uri", metavar="URI", help=uri)
    given = parser.parse_args(arguments)
    _check_archive_flags(parser, given)
    _check_tracker_flags(parser, given)
    return given


def _check_archive_flags(parser: _Parser, given: argparse.Namespace) -> None:
    """Refuse flags that mean nothing with ``--archive``, or without it."""
    refused = ("out", "verify", "study", "baseline", "select", "compare", "hide_names", "no_images", "to")
    for flag in refused if given.archive else ():
        if getattr(given, flag):
            parser.error(f"--archive keeps all that a report is made from: not with --{flag.replace('_', '-')}")
    for flag in ("restate", "add") if not given.archive else ():
        if getattr(given, flag):
            parser.error(f"--{flag} goes with --archive FILE")


def _check_tracker_flags(parser: _Parser, given: argparse.Namespace) -> None:
    """Refuse flags that mean nothing with ``--to``, or without it."""
    of_report = {"--out": given.out, "--baseline": given.baseline, "--compare": given.compare}
    of_report |= {"--verify": given.verify}
    if given.to and (useless := [flag for flag, value in of_report.items() if value is not None]):
        parser.error(f"--to writes no report, so that {useless[0]} says nothing")
    if given.tracking_uri is not None and not given.to:
        parser.error("--tracking-uri needs --to mlflow or --to tensorboard")


def read_study_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those of ``cxr-study``: ``task``, ``study``, ``overrides``, and a value for each of its flags."""
    parser = _Parser(
        prog="cxr-study",
        usage="cxr-study [STUDY] [options] [KEY=VALUE ...]\n"
        "       cxr-study new NAME [--outputs OUTPUTS]\n"
        "       cxr-study check STUDY",
        description="Train the rows of a study, say before how long that will take, and report on them. "
        "What is finished is not trained again: the same command goes on where it was stopped.",
        epilog="STUDY is the path of a study file, or a name: copetti (default) has the 32 models that this program "
        "comes from, bacterial_viral asks which pneumonia it is. new writes NAME.yaml from the runs below OUTPUTS; "
        "check reads a file, and recovers the counts behind what was published.",
    )
    parser.add_argument("words", nargs="*", metavar="STUDY or KEY=VALUE", help="study, and further settings of cxr-run")
    parser.add_argument(
        "--data", default="phantom", help="phantom, chest_xray or a folder of images (default: phantom)"
    )
    parser.add_argument("--seeds", type=int, help="seeds of every row (default: as the study has it)")
    parser.add_argument("--folds", type=int, help="cross-validate: train every row on each of so many folds")
    parser.add_argument(
        "--repeats", type=int, help="draw splits or folds so many times, with as many seeds (default: 1)"
    )
    size = "side of the images in pixels (default: as the study has it)"
    parser.add_argument("--size", type=int, help=size)
    presets = "laptop: CNNs and Adam with fewer seeds, CNNs at 64 pixels; full: all as asked for "
    parser.add_argument("--preset", choices=("laptop", "full"), help=f"{presets}(default: as the study has it)")
    parser.add_argument("--outputs", type=Path, help="where runs go (default: outputs/study; of new: outputs)")
    parser.add_argument("--forecast", action="store_true", help="only say how long it will take")
    given = parser.parse_intermixed_args(arguments)
    given.overrides = [word for word in given.words if "=" in word]
    names = [word for word in given.words if "=" not in word]
    given.task = names.pop(0) if names and names[0] in ("new", "check") else "train"
    if len(names) > 1 or (given.task != "train" and (not names or given.overrides)):
        parser.error(f"one study is needed, given: {' '.join(given.words)}")
    given.study = names[0] if names else "copetti"
    return given


def read_data_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those of ``cxr-data``: ``task``, ``overrides``, ``config_dir``, ``clear``, ``unused_for``."""
    parser = _Parser(
        prog="cxr-data",
        usage="cxr-data {audit,describe,prepare,pin} [KEY=VALUE ...]\n"
        "       cxr-data cache [--clear [--unused-for TIME]]\n"
        "       cxr-data recipe NAME SOURCE TARGET",
        description="Look at a data set before anything is trained on it. Keys are those of cxr-run, e.g. "
        "cxr-data audit data=folder data.root=~/xrays data.image_size=224; cxr-run --help lists them.",
        epilog="audit writes index.html and audit.json to OUTPUTS/audits/TITLE-FINGERPRINT/; cxr-report adds its "
        "baselines to the tables of runs on the same images.",
    )
    tasks = "audit: duplicates, patients across splits, shortcuts, on a page; describe: what it holds, at once; "
    tasks += (
        "prepare: decode all images and build the Gram matrix ahead of a sweep; pin: take the SHA-256 of the study's "
    )
    tasks += (
        "files as those that they must have (in a checkout); cache: list decoded images, Gram matrices and starts; "
    )
    tasks += (
        "recipe: make the images used here from the public originals in SOURCE, e.g. recipe kermany chest_xray XRAYS"
    )
    parser.add_argument("task", choices=("audit", "describe", "prepare", "pin", "cache", "recipe"), help=tasks)
    parser.add_argument("--clear", action="store_true", help="cache: remove what no other process uses")
    unused = "cache --clear: keep what was used in the last hours, days or weeks, e.g. 12h, 30d, 4w"
    parser.add_argument("--unused-for", metavar="TIME", help=unused)
    parser.add_argument(
        "--config-dir", "-cd", metavar="DIR", help="folder of further configuration files, as of cxr-run"
    )
    return _with_overrides(parser, "settings of cxr-run").parse_intermixed_args(arguments)


def read_model_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read those of ``cxr-model``: ``task``, ``words`` (runs and KEY=VALUE), ``images``, and a value for each flag."""
    parser = _Parser(
        prog="cxr-model",
        usage="cxr-model predict RUN ... {-- IMAGE ... | data=... [KEY=VALUE ...]} [--out FILE]\n"
        "       cxr-model evaluate RUN ... data=... [KEY=VALUE ...] [--map FOREIGN=OWN] [--name NAME]\n"
        "       cxr-model calibrate RUN ... [--threshold RULE] [--calibration RULE]\n"
        "       cxr-model export RUN ... --format {pt2,onnx,hub} [--out PATH]\n"
        "       cxr-model explain RUN ... [-- IMAGE ...] [--hide-names]\n"
        "       cxr-model card RUN ...",
        description="Use a finished run as a model. RUN is the directory of a seed, OUTPUTS/runs/NAME-ID/seed=0, or "
        "that of a configuration, for all its seeds; several runs, such as those of all folds, are one ensemble, by "
        "the mean of their logits. Keys are those of the data of cxr-run. Not for clinical use.",
        epilog="What is made of a model lies in the directory of its run; of several, in one beside their first.",
    )
    tasks = "predict: what the model says of images, as a table; evaluate: on labelled images of another place, "
    tasks += "against its own test images, in evaluations/NAME/, which cxr-report shows; calibrate: threshold and "
    tasks += "calibration, chosen on val, in operating_point.json, which the other tasks use; export: the model for "
    tasks += "other programs, or as a folder that is handed on; explain: weights as pictures, what adds up to the "
    tasks += "logits of images (by default of test images, the most wrong), and the training images behind them, in "
    tasks += "explanations/; card: a model card with what the runs know, and blanks for what TRIPOD+AI and CLAIM 2024 "
    tasks += "ask beyond that, in card/"
    parser.add_argument("task", choices=("predict", "evaluate", "calibrate", "export", "explain", "card"), help=tasks)
    parser.add_argument("words", nargs="*", metavar="RUN|KEY=VALUE", help="runs, and settings of the data")
    out = "predict: the table (predictions.csv); export: file or folder (model.pt2, model.onnx, model)"
    parser.add_argument("--out", type=Path, metavar="PATH", help=out)
    forms = "export: pt2 (torch.export), onnx (needs the extra onnx), hub (a folder with a card, taken as a run is)"
    parser.add_argument("--format", metavar="FORM", help=forms)
    classes = "evaluate: which class of the data is which of the model, e.g. 'No Finding=NORMAL'; one of two suffices"
    parser.add_argument("--map", metavar="FOREIGN=OWN", action="append", help=classes)
    parser.add_argument("--name", help="evaluate: name of the folder (default: the title of the data)")
    rules = "calibrate: 0.5 (default), youden, sensitivity_0.95, specificity_0.9 or another share of these"
    parser.add_argument("--threshold", metavar="RULE", help=rules)
    fits = "calibrate: how probabilities are fitted: none (default), temperature, sigmoid (Platt)"
    parser.add_argument("--calibration", metavar="RULE", help=fits)
    hide = "explain: name no image in what is written and printed; the images themselves are shown"
    parser.add_argument("--hide-names", action="store_true", default=None, help=hide)
    parser.add_argument("--device", default="auto", help="where to compute: auto, cpu, cuda, cuda:N, mps")
    trusted = "run the code of the class that a run of model=custom names; without it such a run is refused"
    parser.add_argument("--trust", action="store_true", help=trusted)
    parser.add_argument(
        "--config-dir", "-cd", metavar="DIR", help="folder of further configuration files, as of cxr-run"
    )
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)  # what stands behind are images, whatever they are called
    given = parser.parse_intermixed_args(words[:cut])
    given.images = words[cut + 1 :]
    return given


def _with_overrides(parser: argparse.ArgumentParser, meaning: str) -> argparse.ArgumentParser:
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=meaning)
    return parser

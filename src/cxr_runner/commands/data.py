"""What ``cxr-data`` does with a data set: audit it, describe it, prepare it for a sweep; and with the cache."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr_runner.base.cache_folder import cache_dir
from cxr_runner.base.errors import UserError, user_path
from cxr_runner.base.markdown import printable
from cxr_runner.base.progress import Reporter, make_reporter
from cxr_runner.commands.fold_table import list_folds
from cxr_runner.config.compose import compose
from cxr_runner.config.data_schema import AnyDataConfig, ChestXrayConfig, bits_of
from cxr_runner.config.schema import RunConfig
from cxr_runner.data.cache import read_description, read_remarks, store_path
from cxr_runner.data.inventory import list_inventory, passed_over_as_dicts
from cxr_runner.data.sources import Source
from cxr_runner.data.sources.catalogue import open_source


def perform(
    task: str,
    overrides: Sequence[str],
    config_dir: str | None = None,
    *,
    clear: bool = False,
    unused_for: str | None = None,
) -> None:
    """Perform one task.

    Args:
        task: ``audit``, ``describe``, ``prepare``, ``pin``, ``cache`` or ``recipe``.
        overrides: as one writes them after ``cxr-run``; no sweeps. Of ``recipe``: its name, SOURCE and TARGET.
        config_dir: folder of further configuration files.
        clear: whether ``cache`` removes what it would list.
        unused_for: whether only what was not used for a time is removed, e.g. ``30d``.

    Raises:
        UserError: a mistake in them, or the data is not as it must be.
    """
    if task == "cache":
        from cxr_runner.commands.cache_task import perform_cache

        perform_cache(overrides, clear=clear, unused_for=unused_for)
        return
    if clear or unused_for is not None:
        raise UserError(f"{task}: --clear and --unused-for are flags of cxr-data cache")
    if task == "recipe":
        from cxr_runner.commands.recipe_task import perform_recipe

        perform_recipe(overrides)
        return
    configs = compose(overrides, config_dir=config_dir)
    config = configs[0]
    reporter = make_reporter(config.progress)
    if task == "audit":
        from cxr_runner.audit.save import write_audit

        write_audit(config.data, user_path("outputs", config.outputs), reporter)
    elif task == "prepare":
        _prepare(config, reporter)
    elif task == "pin":
        _pin(config.data)
    else:
        descriptions, store = describe_splits(list(dict.fromkeys(run.data for run in configs)), reporter)
        for line in [*describing(descriptions[0], store, config.data.image_size), *list_folds(descriptions)]:
            print(line)


def describing(description: dict[str, Any], store: Path, image_size: int) -> list[str]:
    """Return what is to be said of a data set, in lines.

    Args:
        description: as :meth:`cxr_runner.data.dataset.Dataset.describe` gives it.
        store: the folder of the store.
        image_size: side of the stored squares, in pixels.
    """
    counts: dict[str, dict[str, int]] = description["counts"]
    lines = [printable(description["title"]), f"  images       {description['num_images']:,}"]
    for split, classes in counts.items():
        listed = ", ".join(f"{number:,} {printable(name)}" for name, number in classes.items())
        lines.append(f"  {split:<12} {sum(classes.values()):,}: {listed}")
    lines += [f"  {'':<12} {printable(line)}" for line in list_inventory(description["inventory"])]
    gram = "there" if any(store.glob("derived-*/gram.npy")) else "not built (cxr-data prepare builds it)"
    said = {
        "positive": printable(description["positive_class"]),
        "duplicates": f"{len(description['duplicates_dropped'])} dropped",
        "unreadable": f"{len(description['unreadable_skipped'])} skipped",
        "synthetic": "yes, no patient was imaged" if description["synthetic"] else "",
        "citation": printable(description["citation"]) or "not given",
        "licence": printable(description["licence"]) or "not given",
        "fingerprint": description["fingerprint"],
        "store": f"{store} ({image_size}x{image_size})",
        "Gram matrix": gram,
    }
    lines += [f"  {key:<12} {text}" for key, text in said.items() if text]
    lines += [f"  {'note':<12} {printable(note)}" for note in description["notes"]]
    lines += [f"  {'warning':<12} {printable(warning)}" for warning in description["warnings"]]
    return lines + read_remarks(store)


def _prepare(config: RunConfig, reporter: Reporter) -> None:
    """Decode all images and, where runs of this configuration would use it, build the Gram matrix."""
    from cxr_runner.config.validation import is_frozen, needs_gram
    from cxr_runner.data.dataset import open_dataset
    from cxr_runner.experiment.summary import describe_data
    from cxr_runner.training.devices import choose_device
    from cxr_runner.training.engines import choose_engine
    from cxr_runner.training.gram.matrix import open_gram_matrix

    dataset = open_dataset(config.data, reporter, every_image=True)
    for line in describe_data(dataset):
        reporter.line(line)
    device = choose_device(config.device)
    choice = choose_engine(config, dataset, device)
    if choice.engine == "gram" and not is_frozen(config.model):  # a frozen model needs products of its features
        pixel_engine = not needs_gram(config.model)
        open_gram_matrix(dataset.images, dataset.store, reporter, device, pixel_engine=pixel_engine)
        reporter.line(f"ready: store and Gram matrix in {dataset.store}")
    else:
        reporter.line(f"ready: store in {dataset.store}; no Gram matrix, runs take the pixels ({choice.reason})")


def _pin(config: AnyDataConfig) -> None:
    """Take the sums of the study's files as those that they must have from now on."""
    if not isinstance(config, ChestXrayConfig):
        raise UserError.for_key("data", config.name, "pin takes the SHA-256 of the files of data=chest_xray")
    from cxr_runner.data.sources.chest_xray import describe_study
    from cxr_runner.data.sources.hub import HubSource
    from cxr_runner.data.sources.pinned import PINNED, pin

    path = user_path("data.path", config.path) if config.path else None
    files = HubSource(describe_study(), path).files()
    for line in pin({split: file for split, file in files if split}):
        print(line)
    print(f"pinned in {PINNED}")


def describe(config: AnyDataConfig, reporter: Reporter) -> tuple[dict[str, Any], Path]:
    """Say what a data set holds, as :func:`describe_splits` does for several splits."""
    (description,), store = describe_splits([config], reporter)
    return description, store


def describe_splits(configs: Sequence[AnyDataConfig], reporter: Reporter) -> tuple[list[dict[str, Any]], Path]:
    """Say what a data set holds in each of its splits, opening it only where one never was.

    Args:
        configs: which data, and what to do with it; they differ in nothing but their ``split``.
        reporter: shown the progress of a first decoding.

    Returns:
        What :meth:`cxr_runner.data.dataset.Dataset.describe` gives for each, and the folder of the store.

    Raises:
        UserError: anything about the data is not as it must be.
    """
    source, bits = open_source(configs[0]), bits_of(configs[0])
    store = store_path(source, configs[0].image_size, cache_dir(), bits)
    known = [read_description(store, config) for config in configs]
    descriptions = [one if one is not None and _is_current(one, source) else None for one in known]
    if None in descriptions:
        from cxr_runner.data.dataset import open_images, split_images  # pandas

        images = open_images(configs[0], reporter)
        for index, config in enumerate(configs):
            if descriptions[index] is None:
                descriptions[index] = split_images(images, config, reporter).describe()
    return [one for one in descriptions if one is not None], store


def _is_current(description: dict[str, Any], source: Source) -> bool:
    """Return whether a description counts what is passed over now: such files come and go without a trace in stores."""
    now = source.passed_over()
    return now is None or description["inventory"]["passed_over"] == passed_over_as_dicts(now)

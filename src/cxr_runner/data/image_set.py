"""The images of a source, labelled and without those that no run sees: all that no split decides."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.config.data_schema import AnyDataConfig, FolderConfig, subgroups_of
from cxr_runner.data.known_columns import fitting, read_columns, take_subgroups
from cxr_runner.data.patients import Patients, find_patients
from cxr_runner.data.quality.image_checks import ImageChecks
from cxr_runner.data.sources import About, PassedOver, Source
from cxr_runner.data.splits import find_duplicates
from cxr_runner.data.store import Store, changed_images


@dataclass(frozen=True, eq=False)
class Images:
    """Images that can be split in several ways; every data set made of them shares the memory that they lie in.

    Attributes:
        config: configuration of the data; its ``split`` and ``train_share`` are not looked at.
        about: title, citation, licence.
        store: the decoded images, with those that are left out.
        table: the images that remain, as ``store`` has them: ``patient`` is filled in as ``patients`` has it, ``split``
            is that of the source.
        subgroups: one column for each of ``data.subgroups``, text ('' where it is not known), indexed as ``table``.
        patients: what is known of the patients.
        checks: what is checked of the images whatever their splits.
        duplicates: dropped images: ``name``, ``same_as``.
        unreadable: skipped images: ``name``, ``error``.
        passed_over: what the source leaves out.
        filtered: number of images that ``data.where`` leaves out by what their files tell.
        notes: lines on what was made of the source without being asked for.
    """

    config: AnyDataConfig
    about: About
    store: Store
    table: pd.DataFrame
    subgroups: pd.DataFrame
    patients: Patients
    checks: ImageChecks
    duplicates: pd.DataFrame
    unreadable: pd.DataFrame
    passed_over: tuple[PassedOver, ...]
    filtered: int
    notes: tuple[str, ...]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over labels and pixels in their source's size, whatever the names and order of the images."""
        return digest(repr(sorted(zip(self.table["pixels"], self.table["label"].astype(int), strict=True))), 16)

    def intact(self) -> bool:
        """Return whether no image has changed since it was decoded; reads all of them."""
        rows, checks = self.table.index.to_numpy(np.int64), self.table["check"].tolist()
        return not len(changed_images(self.store.images, rows, checks))


def select_images(config: AnyDataConfig, source: Source, store: Store) -> Images:
    """Leave out what no run sees: unreadable images, those that were not asked for, duplicates.

    Args:
        config: configuration of the data.
        source: source of the images.
        store: its store.

    Raises:
        UserError: the images or their patients are not as the configuration asks for.
    """
    readable, unreadable = _set_aside_unreadable(store.table, config)
    chosen = _chosen(readable, source, config)
    duplicates = _duplicates(chosen, config)
    clean = chosen.drop(duplicates.index)
    patients = find_patients(clean["name"].tolist(), clean["patient"].tolist(), config.patient_pattern)
    table, synthetic = clean.assign(patient=patients.keys), source.about.synthetic
    checks = ImageChecks(store.images, table, store.class_names, patients, store.derived, synthetic=synthetic)
    return Images(
        config=config,
        about=source.about,
        store=store,
        table=table,
        subgroups=_subgroups(clean, source, config),
        patients=patients,
        checks=checks,
        duplicates=duplicates.reindex(columns=["name", "same_as"]),
        unreadable=unreadable,
        passed_over=_passed_over(source, store),
        filtered=len(readable) - len(chosen),
        notes=(*source.notes(), *store.notes),
    )


def _subgroups(table: pd.DataFrame, source: Source, config: AnyDataConfig) -> pd.DataFrame:
    """Return the columns of ``data.subgroups``; what is known of each image is not read where none is asked for."""
    wanted = subgroups_of(config)
    return take_subgroups(read_columns(table, source.columns()) if wanted else [], wanted, table)


def _chosen(table: pd.DataFrame, source: Source, config: AnyDataConfig) -> pd.DataFrame:
    """Return the images that ``data.where`` asks for, by what their files tell; a table has filtered its rows."""
    if not isinstance(config, FolderConfig) or config.where is None:
        return table
    return table[fitting(read_columns(table, source.columns()), config.where)]


def _passed_over(source: Source, store: Store) -> tuple[PassedOver, ...]:
    now = source.passed_over()
    return store.passed_over if now is None else now


def _duplicates(table: pd.DataFrame, config: AnyDataConfig) -> pd.DataFrame:
    if config.duplicates == "keep":
        return table.iloc[:0]
    return find_duplicates(table, drop_conflicts=config.duplicates == "drop_conflicts")


def _set_aside_unreadable(table: pd.DataFrame, config: AnyDataConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    bad = table["error"] != ""
    if bad.any() and config.on_bad_image == "error":
        errors = [f"{name} ({error})" for name, error in table.loc[bad, ["name", "error"]].to_numpy()]
        valid = f"{bad.sum()} images cannot be read: {list_few(errors, '; ')}. data.on_bad_image=skip leaves them out"
        raise UserError.for_key("data.on_bad_image", "error", valid)
    return table[~bad], table.loc[bad, ["name", "error"]]

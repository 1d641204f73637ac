"""The catalogue of sources: which one reads the data that a configuration names.

A new source is one case here; its libraries are imported only where it is used.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from cxr_runner.base.errors import UserError, user_path
from cxr_runner.config.data_schema import (
    AnyDataConfig,
    ChestXrayConfig,
    FolderConfig,
    HubConfig,
    PhantomConfig,
    TableConfig,
)
from cxr_runner.data.sources import About, Source

if TYPE_CHECKING:
    from cxr_runner.data.sources.hub_set import HubSet

# What the library takes for a name, where it is asked; the name is a folder of the cache as well.
_REPO = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)


def open_source(config: AnyDataConfig) -> Source:
    """Build the source of a configuration, without touching the data.

    Raises:
        UserError: a value is not valid.
    """
    match config:
        case PhantomConfig():
            from cxr_runner.data.sources.phantom.source import PhantomSource

            return PhantomSource(config.num_images, config.difficulty, config.phantom_seed, config.site)
        case ChestXrayConfig():
            from cxr_runner.data.sources.chest_xray import describe_study
            from cxr_runner.data.sources.hub import HubSource

            return HubSource(describe_study(), _local_copy(config.path))
        case HubConfig():
            from cxr_runner.data.sources.hub import HubSource

            return HubSource(_describe_set(config), _local_copy(config.path))
        case FolderConfig():
            from cxr_runner.data.extras import DicomOptions
            from cxr_runner.data.sources.folder import FolderOptions, FolderSource

            return FolderSource(
                user_path("data.root", config.root),
                FolderOptions(
                    config.positive,
                    config.negative,
                    config.ignore,
                    config.subfolders,
                    config.allow_unused,
                    DicomOptions(config.window, config.frame),
                    config.class_pattern,
                ),
                title=config.title,
                citation=config.citation,
            )
        case TableConfig():
            from cxr_runner.data.sources.table.table_source import TableSource

            return TableSource(user_path("data.file", config.file), user_path("data.root", config.root), config)
        case _:
            assert_never(config)


def _local_copy(path: str | None) -> Path | None:
    return user_path("data.path", path) if path else None


def _describe_set(config: HubConfig) -> "HubSet":
    from cxr_runner.data.sources.hub_set import Columns, HubSet, Patterns

    if not _REPO.fullmatch(config.repo):
        valid = "valid are OWNER/NAME, as in the address huggingface.co/datasets/OWNER/NAME"
        raise UserError.for_key("data.repo", config.repo, valid)
    return HubSet(
        config.repo,
        About(config.title or config.repo, config.citation or f"https://huggingface.co/datasets/{config.repo}"),
        config.revision,
        config.config,
        Patterns(config.files.train, config.files.val, config.files.test),
        Columns(config.image_column, config.label_column, config.split_column, config.patient_column),
        config.positive,
        config.negative,
        config.ignore,
        config.allow_unused,
    )

"""The catalogue of sources: which one reads the data that a configuration names.

A new source is one case here; its libraries are imported only where it is used.
"""

from typing import assert_never

from cxr_runner.base.errors import user_path
from cxr_runner.config.schema import AnyDataConfig, FolderConfig, HubConfig, PhantomConfig
from cxr_runner.data.sources import Source


def open_source(config: AnyDataConfig) -> Source:
    """Build the source of a configuration, without touching the data.

    Raises:
        UserError: a value is not valid.
    """
    match config:
        case PhantomConfig():
            from cxr_runner.data.sources.phantom.source import PhantomSource

            return PhantomSource(config.num_images, config.difficulty, config.phantom_seed)
        case HubConfig():
            from cxr_runner.data.sources.hub import HubSource

            return HubSource(user_path("data.path", config.path) if config.path else None)
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
                ),
                title=config.title,
                citation=config.citation,
            )
        case _:
            assert_never(config)

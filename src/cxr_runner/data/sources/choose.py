"""The source that a configuration names."""

from cxr_runner.base.errors import user_path
from cxr_runner.config.schema import AnyDataConfig, FolderConfig, HubConfig, PhantomConfig
from cxr_runner.data.sources import Source


def open_source(config: AnyDataConfig) -> Source:
    """Build the source that a configuration names; heavy libraries are imported only by the source that needs them.

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
            from cxr_runner.data.sources.folder import FolderSource

            return FolderSource(
                user_path("data.root", config.root),
                positive=config.positive,
                title=config.title,
                citation=config.citation,
                require_splits=config.split.strategy == "given",
            )

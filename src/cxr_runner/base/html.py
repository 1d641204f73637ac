"""HTML pages from Jinja templates; every text in them is escaped."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # jinja2 is imported when there is a page to write
    from jinja2 import Environment


@cache  # a template is compiled once
def template_environment(package: str) -> "Environment":
    """Return the Jinja environment of a package's templates; ``style.css`` is the same for all packages.

    Texts are escaped, and a name that a template uses and nobody passes is an error.

    Args:
        package: package with a folder ``templates``, in dotted form.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("cxr_runner.base")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

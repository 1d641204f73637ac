"""Writes an audit: ``OUTPUTS/audits/TITLE-FINGERPRINT/audit.json`` and ``index.html``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr_runner.audit.audit import Audit, audit_images
from cxr_runner.audit.images import open_for_audit
from cxr_runner.audit.page import audit_page
from cxr_runner.base.checked_json import write_checked_json
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_text
from cxr_runner.base.progress import Reporter
from cxr_runner.base.slug import slug
from cxr_runner.config.data_schema import AnyDataConfig
from cxr_runner.data.sources import data_heading

_KEYS_IN_FILE = {"score": "own"}  # the name in audit.json of format 1, which reports read


def write_audit(config: AnyDataConfig, outputs: Path, reporter: Reporter) -> Path:
    """Audit a data set; write and print the result.

    Args:
        config: configuration of the data.
        outputs: the outputs tree.
        reporter: shows the progress and the findings.

    Returns:
        The folder written to.

    Raises:
        UserError: the data is not valid, or the outputs tree cannot be written to.
    """
    audited = open_for_audit(config, reporter)
    audit = audit_images(audited, reporter)
    folder = outputs / "audits" / f"{slug(audited.about.title)}-{audit.fingerprint}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_checked_json(folder / "audit.json", asdict(audit, dict_factory=_as_in_file))
        write_text(folder / "index.html", audit_page(audit, audited))
    except OSError as error:
        raise UserError.for_key("outputs", outputs, f"cannot write there ({error.strerror})") from None
    _print(audit, data_heading(audited.about), folder, reporter)
    return folder


def _as_in_file(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the attributes of one object under the keys of ``audit.json``."""
    return {_KEYS_IN_FILE.get(name, name): value for name, value in items}


def _print(audit: Audit, heading: str, folder: Path, reporter: Reporter) -> None:
    reporter.line(f"{heading}, fingerprint {audit.fingerprint}")
    for finding in audit.findings:
        action = f" To do: {finding.action}." if finding.action else ""
        reporter.line(f"  {finding.level:5} {finding.text}{action}")
    reporter.line(f"audit: {folder / 'index.html'}")

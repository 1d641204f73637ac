"""Writes an audit: ``OUTPUTS/audits/TITLE-FINGERPRINT/audit.json`` and ``index.html``."""

import re
from dataclasses import asdict
from pathlib import Path

from cxr_runner.audit.audit import Audit, audit
from cxr_runner.audit.images import open_material
from cxr_runner.audit.page import audit_page
from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_json, write_text
from cxr_runner.base.progress import Reporter
from cxr_runner.config.schema import AnyDataConfig
from cxr_runner.data.about import data_heading


def write_audit(config: AnyDataConfig, outputs: Path, reporter: Reporter) -> Path:
    """Audit a data set, write what was found and print it.

    Args:
        config: which data.
        outputs: the outputs tree.
        reporter: shown the progress and the findings.

    Returns:
        The folder written to.

    Raises:
        UserError: the data is not as it must be, or the outputs tree cannot be written to.
    """
    material = open_material(config, reporter)
    found = audit(material, reporter)
    folder = outputs / "audits" / f"{_slug(material.about.title)}-{found.fingerprint}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "audit.json", asdict(found))
        write_text(folder / "index.html", audit_page(found, material))
    except OSError as error:
        raise UserError.for_key("outputs", outputs, f"cannot write there ({error.strerror})") from None
    _print(found, data_heading(material.about), folder, reporter)
    return folder


def _print(found: Audit, heading: str, folder: Path, reporter: Reporter) -> None:
    reporter.line(f"{heading}, fingerprint {found.fingerprint}")
    for finding in found.findings:
        action = f" To do: {finding.action}." if finding.action else ""
        reporter.line(f"  {finding.level:5} {finding.text}{action}")
    reporter.line(f"audit: {folder / 'index.html'}")


def _slug(title: str) -> str:
    """Return a title as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40] or "data"

"""What audits of the same images say of shortcuts, to be read beside where a model looks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr_runner.artifacts.rundir import AUDIT_FORMAT
from cxr_runner.base.checked_json import read_checked_json

_OUTER = ("ring", "frame", "size")


def audits_beside(runs: Sequence[Path], fingerprints: Sequence[str]) -> list[dict[str, Any]]:
    """Read what audits in the same outputs tree say of the same images and splits.

    Args:
        runs: run directories, OUTPUTS/runs/NAME-ID/seed=SEED.
        fingerprints: those of their data sets.

    Returns:
        Of each audit ``fingerprint`` and ``baselines``: ``name``, ``words`` and ``auroc`` of linear models that see no
        more than the outskirts of an image or its size; none of an audit that is damaged or of another version.
    """
    trees = dict.fromkeys(run.parents[2] for run in runs if len(run.parents) > 2)
    found = []
    for path in (path for tree in trees for path in sorted(tree.glob("audits/*/audit.json"))):
        content, intact = read_checked_json(path)
        fits = content.get("fingerprint") in fingerprints and content.get("format") == AUDIT_FORMAT
        if intact and fits and isinstance(shortcuts := content.get("shortcuts"), dict):
            outer = [one for one in shortcuts["baselines"] if one["name"] in _OUTER]
            baselines = [{"name": one["name"], "words": one["words"], "auroc": one["own"]["auroc"]} for one in outer]
            found.append({"fingerprint": content["fingerprint"], "baselines": baselines})
    return found

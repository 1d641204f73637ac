"""When each claim of a study was first seen beside runs: kept in ``OUTPUTS/studies/NAME.json``, never overwritten."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr_runner.base.checked_json import read_checked_json, write_checked_json
from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError
from cxr_runner.base.locks import locked_folder
from cxr_runner.study.claims import Claim, Condition, Definition, Rules
from cxr_runner.study.published import Study

Times = Mapping[str, str]
"""When each claim, as it is now, was first seen: UTC in ISO 8601, by its id."""


def claim_digest(claim: Claim, study: Study) -> str:
    """Return a digest of all that decides a claim: what it says, its conditions, the numbers, rules and rows in them.

    Why it is claimed and where it stands are no part of it.
    """
    said = {"says": claim.says, "rows": claim.rows, "conditions": [_given(one) for one in claim.conditions]}
    numbers = {one.statistic: _given(study.definitions[one.statistic]) for one in claim.conditions}
    numbers = {name: {key: one[key] for key in one.keys() - {"because", "name"}} for name, one in numbers.items()}
    rows = {row: study.row(row).own for row in rows_of_claim(claim)}
    usual = asdict(Rules())
    rules = {key: value for key, value in asdict(study.rules).items() if value != usual[key]}
    decided = {"numbers": numbers, "rules": rules, "rows": rows, "shared": study.conditions}
    return digest(json.dumps(said | decided, sort_keys=True), 16)


def _given(part: Condition | Definition) -> dict[str, Any]:
    """Return what a part of a claim states, without what it leaves open: more can be left open by a later version."""
    return {key: value for key, value in asdict(part).items() if value}


def rows_of_claim(claim: Claim) -> list[str]:
    """Return the rows that a claim is tested on, each once."""
    return list(dict.fromkeys([*claim.rows, *(row for one in claim.conditions for row in _rows(one))]))


def _rows(condition: Condition) -> Iterator[str]:
    yield from condition.rows
    yield from (row for pair in condition.pairs for group in pair for row in group)


def stated_file(outputs: Path, study: Study) -> Path:
    """Return where the times of a study's claims are kept."""
    return outputs / "studies" / f"{study.name}.json"


def state_claims(study: Study, outputs: Path) -> Times:
    """Return when each claim was first seen in an outputs tree; what was not seen before is seen now, and kept.

    A claim that was changed is another one: the old one and its time stay in the file, the new one begins now. What the
    folders around and directly inside of a tree know counts as well: ``outputs/study`` is a tree, and part of another.

    Args:
        study: study whose claims they are.
        outputs: folder of the outputs tree.

    Returns:
        Empty for a study without claims, and where a tree that cannot be written to has no times.

    Raises:
        UserError: the file was changed by something else.
    """
    if not study.claims:
        return {}
    path = stated_file(outputs, study)
    digests = {claim.id: claim_digest(claim, study) for claim in study.claims}
    try:
        with locked_folder(path.parent):
            kept, known = _read(path), _times(digests, _files_around(path))
            new = digests.keys() - known.keys()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            for name in new:
                kept.setdefault(name, {})[digests[name]] = now
            if new:
                write_checked_json(path, {"study": study.name, "first_seen": kept})
            return {name: known.get(name, now) for name in digests}
    except OSError:  # a tree that is only read: what it knows is told, and nothing is added
        return known_times(study, outputs)


def known_times(study: Study, outputs: Path) -> Times:
    """Return when each claim was first seen, as :func:`state_claims` does, but of those alone that were seen before."""
    digests = {claim.id: claim_digest(claim, study) for claim in study.claims}
    return _times(digests, _files_around(stated_file(outputs, study)))


def _files_around(path: Path) -> list[Path]:
    """Return the files that may know of a tree's claims: its own, those of trees around it and those of trees in it."""
    outputs = path.parent.parent.absolute()
    around = (folder / "studies" / path.name for folder in outputs.parents[:2])
    return [path, *around, *sorted(outputs.glob(f"*/studies/{path.name}"))]


def _times(digests: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """Return the earliest time of each claim that some files know of."""
    known: dict[str, str] = {}
    for seen in map(_read, files):
        for name, of_claim in digests.items():
            if time := seen.get(name, {}).get(of_claim):
                known[name] = min(time, known.get(name, time))
    return known


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return times by digest and id; empty where there is no file."""
    content, whole = read_checked_json(path)
    if not content and whole is None:
        return {}
    seen = content.get("first_seen")
    if not whole or not isinstance(seen, dict) or not all(isinstance(times, dict) for times in seen.values()):
        raise UserError(f"{path}: was changed since it was written, so that it no longer tells when claims were stated")
    return seen

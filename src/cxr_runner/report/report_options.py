"""What a report was asked to look at, and how."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportOptions:
    """What the options of ``cxr-report`` ask for.

    Attributes:
        baseline: label, name or id of the configuration that others are compared with; None chooses it by rule.
        metric: the metric that configurations are compared by first: ``accuracy``, ``f1`` or ``auroc``.
        select: runs to look at, each ``KEY=VALUE`` with a key of ``cxr-run``; all of them must hold.
        pair: labels, names or ids of two configurations to show side by side; None takes the reference and the best on
            validation.
    """

    baseline: str | None = None
    metric: str = "accuracy"
    select: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None


WHOLE_REPORT = ReportOptions()

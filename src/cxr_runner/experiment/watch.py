"""Who may end a run before its last epoch, judging by how it stands: a search that has seen better ones."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # named here, and made elsewhere
    from cxr_runner.experiment.plan import PlannedRun
    from cxr_runner.training.loop import Trainer


class Watch(Protocol):
    """What a sweep asks of whoever watches it; training itself knows of none."""

    def judge(self, run: "PlannedRun", trainer: "Trainer") -> tuple[str, str] | None:
        """Return who ends a run after its last epoch, and why in one line; None lets it go on.

        Args:
            run: what was planned.
            trainer: trains it; more epochs are left.
        """

    def has_ended(self, run: "PlannedRun") -> bool:
        """Return whether the run was ended early before, and is to stay as it is."""

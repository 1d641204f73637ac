"""The errata of the study for the page: sentences, tables, one picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner.report.export import Table
from cxr_runner.report.pictures import Picture
from cxr_runner.report.tables import errata_table
from cxr_runner.study import load_study
from cxr_runner.study.consequences import consequences
from cxr_runner.study.errata import accuracy_table, claim_table, recovery_table
from cxr_runner.study.slips import check_table, slip_table

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Errata:
    """What arithmetic on the published numbers alone shows; no run is needed for it.

    Attributes:
        sentences: what it does to the conclusions.
        tables: the computations.
        picture: published rank against recovered rank.
    """

    sentences: list[str]
    tables: list[Table]
    picture: Picture


def gather_errata() -> Errata:
    """Compute all errata."""
    study = load_study()
    recovered, claims = recovery_table(study), claim_table(study)
    counts = ["pairs", "published", "recovered"]  # numbers last, where they are aligned
    claims = claims[[*(column for column in claims if column not in counts), *counts]]
    tables = [
        errata_table(
            "errata_recovery",
            "The one accuracy over all test images that fits accuracy, precision, recall and F1 as published, in "
            "percent with its 95 % Wilson interval; ranges where several confusion matrices fit.",
            recovered,
        ),
        errata_table(
            "errata_accuracy",
            "Can a published accuracy be a share of all test images (GRIM)? Does it lie between the lowest and the "
            "highest that its own precision and recall allow? The same of F1.",
            accuracy_table(study),
        ),
        errata_table("errata_claims", "Claims that compare models, by pairs that are as claimed.", claims),
        errata_table("errata_slips", "Models in captions and text that do not fit Tables 1 and 2.", slip_table(study)),
        errata_table("errata_checks", "Printed numbers that follow from others, computed again.", check_table(study)),
    ]

    def draw() -> "Figure":
        from cxr_runner.study.errata_figures import plot_ranks

        return plot_ranks(recovered, study)

    alt = "Pooled accuracies recovered: " + "; ".join(
        f"model {entry['row']}: rank {entry['published_rank']} published, {entry['recovered_rank']} recovered, "
        f"{entry['correct']} of {entry['num_images']}"
        for entry in recovered.to_dict("records")
    )
    title, text = "Published rank against recovered rank", "Ranking by the mean over batches and by images classified."
    return Errata(consequences(study), tables, Picture("errata", title, text, alt, draw=draw))

"""The errata of the study for the page: sentences, tables, one picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr_runner.base.tables import Table
from cxr_runner.report.render.errata_tables import (
    compared_claims,
    misnamed_models,
    possible_accuracies,
    printed_numbers,
    recovered_ranks,
)
from cxr_runner.report.render.picture import Picture
from cxr_runner.study import Study
from cxr_runner.study.consequences import consequences
from cxr_runner.study.errata import recovery_table

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ErrataSection:
    """What arithmetic on the published numbers alone shows; no run is needed for it.

    Attributes:
        sentences: what it does to the conclusions.
        tables: the computations.
        picture: published rank against recovered rank.
    """

    sentences: list[str]
    tables: list[Table]
    picture: Picture


def errata_section(study: Study) -> ErrataSection:
    """Return all errata of the study; no run is in them."""
    recovered = recovery_table(study)
    known = recovered.dropna(subset="correct")
    others = (make(study) for make in (possible_accuracies, compared_claims, misnamed_models, printed_numbers))
    tables = [recovered_ranks(recovered), *(table for table in others if table.rows)]

    def draw() -> "Figure":
        from cxr_runner.plots.ranks import plot_ranks

        return plot_ranks(known, study)

    alt = "Pooled accuracies recovered: " + "; ".join(
        f"model {entry['row']}: rank {entry['published_rank']} published, {entry['recovered_rank']} recovered, "
        f"{entry['correct']} of {entry['num_images']}"
        for entry in known.to_dict("records")
    )
    title, text = "Published rank against recovered rank", "Ranking as published and by images classified."
    picture = Picture("errata", title, text, alt, draw=draw if len(known) else None)
    return ErrataSection(consequences(study), tables, picture)

"""What ``cxr-model card`` does: a model card, and the checklists that it was written by, with blanks for people."""

from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import replacing_folder, write_text
from cxr_runner.base.progress import make_reporter

if TYPE_CHECKING:  # imported when there is a card to write
    from cxr_runner.commands.model import ModelOrder


def perform_card(order: "ModelOrder") -> None:
    """Write ``card/README.md`` and ``card/checklists.md`` beside a model.

    Args:
        order: the runs.

    Raises:
        UserError: a mistake in the order, or the folder cannot be written to.
    """
    if order.images or order.overrides:
        raise UserError("card: takes runs and no images")
    from cxr_runner.commands.model_data import make_model_folder
    from cxr_runner.inference.card.model_card import model_card
    from cxr_runner.inference.loaded_model import load_model

    reporter = make_reporter("auto")
    model = load_model(order.runs, "cpu", trust=order.trust)
    card, checklists = model_card(model, handed_on=False)
    make_model_folder(model)
    folder = model.parts.folder / "card"
    try:
        with replacing_folder(folder) as temporary:
            write_text(temporary / "README.md", card)
            write_text(temporary / "checklists.md", checklists)
    except OSError as error:
        raise UserError.for_key("run", model.parts.folder, f"cannot write there ({error.strerror})") from None
    blanks = card.count("______")
    reporter.line(f"card: {folder / 'README.md'}, with {blanks} blanks for what no run knows; checklists.md beside it")

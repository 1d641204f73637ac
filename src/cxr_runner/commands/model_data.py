"""What tasks of ``cxr-model`` share: data of KEY=VALUE at the size of the images of a model, and its folder."""

from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError
from cxr_runner.base.files import write_json
from cxr_runner.config.compose import compose
from cxr_runner.config.data_schema import AnyDataConfig

if TYPE_CHECKING:
    from cxr_runner.commands.model import ModelOrder
    from cxr_runner.inference.loaded_model import LoadedModel


def compose_data(order: "ModelOrder", model: "LoadedModel") -> AnyDataConfig:
    """Return the configuration of the data that an order names.

    Raises:
        UserError: a mistake in it, or another size of images than the model's.
    """
    size = f"data.image_size={model.image_size}"
    data = compose([size, *order.overrides], config_dir=order.config_dir)[0].data
    if data.image_size != model.image_size:
        raise UserError.for_key("data.image_size", data.image_size, f"the model takes images of {size.split('=')[1]}")
    return data


def make_model_folder(model: "LoadedModel") -> None:
    """Make the folder for what is made of a model, where there is none yet, and say what it is of.

    Raises:
        UserError: it cannot be written to.
    """
    if model.parts.folder.is_dir():
        return
    try:
        model.parts.folder.mkdir(exist_ok=True)
        write_json(model.parts.folder / "members.json", {"runs": [member.key for member in model.members]})
    except OSError as error:
        raise UserError.for_key("run", model.parts.folder, f"cannot write there ({error.strerror})") from None

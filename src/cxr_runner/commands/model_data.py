"""The data of ``cxr-model``: KEY=VALUE as of ``cxr-run``, at the size of images that the model was trained on."""

from typing import TYPE_CHECKING

from cxr_runner.base.errors import UserError
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

"""Random changes of training batches, by torchvision's transforms."""

import torch
from torch import Tensor

from cxr_runner.config.schema import AugmentConfig


class Augment:
    """Changes every image of a batch by another draw; the same seed gives the same changes."""

    def __init__(self, config: AugmentConfig) -> None:
        """Choose the transforms that are switched on."""
        from torchvision.transforms import v2  # here, because it takes long to import and few runs need it

        transforms: list[v2.Transform] = []
        if config.flip:
            transforms.append(v2.RandomHorizontalFlip(config.flip))
        if config.degrees or config.translate or config.scale:
            shift = (config.translate, config.translate)
            zoom = (1 - config.scale, 1 + config.scale)
            bilinear = v2.InterpolationMode.BILINEAR
            transforms.append(v2.RandomAffine(config.degrees, shift, zoom, interpolation=bilinear))
        if config.brightness or config.contrast:
            transforms.append(v2.ColorJitter(brightness=config.brightness, contrast=config.contrast))
        self._transform = v2.Compose(transforms)

    def __call__(self, images: Tensor, seed: int) -> Tensor:
        """Change a batch.

        Args:
            images: float [batch, 1, side, side] in [0, 1].
            seed: seed of this batch's draws; the CPU's global random state is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # One call on the whole batch would change all its images alike.
            return torch.stack([self._transform(image) for image in images])

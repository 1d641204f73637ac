"""Rows of the Gram matrix, fetched once for all members that will see the same images.

Members of one seed and one batch size do, whatever their model: the rows of a window are read once and multiplied with
the coordinates of each. Reading them takes longer than a product with one member's coordinates.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor

ROWS_AT_ONCE = 64  # of the Gram matrix, 2 MB for 4,000 images: they stay in the cache until they are multiplied


@dataclass(frozen=True)
class Request:
    """What one member wants of the rows of some images.

    Attributes:
        positions: int64 [images], where they stand in the Gram matrix.
        use: called with some of the images, at most :data:`ROWS_AT_ONCE`, and their rows, float64
            [images, coordinates].
        take_inner: given the inner products of all of them, float64 [``ROWS_AT_ONCE``, the same], zeros at the end
            where they are fewer; None where nobody asks for them, as where they are more.
    """

    positions: Tensor
    use: Callable[[slice, Tensor], None]
    take_inner: Callable[[Tensor], None] | None


class Fetching:
    """Fetches rows of a Gram matrix for several members, on all cores of a CPU."""

    def __init__(self, gram: Tensor) -> None:
        """Make room for a piece of rows for each core.

        Args:
            gram: float64 [images, coordinates].
        """
        self.gram = gram
        num_workers = torch.get_num_threads() if gram.device.type == "cpu" else 1
        self.buffers = [gram.new_empty(ROWS_AT_ONCE, gram.shape[1]) for _ in range(num_workers)]
        self.workers = ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,))

    def serve(self, requests: Sequence[Request]) -> None:
        """Fetch what is asked for, once for all that ask for the same, or twice where several workers serve them.

        Each worker has as many requests as the others, give or take one.
        """
        if not requests:
            return
        named = [(request.positions.cpu().numpy().tobytes(), request) for request in requests]
        ordered = sorted(named, key=itemgetter(0))  # those of the same images side by side
        size = -(-len(ordered) // len(self.buffers))
        shares = [ordered[at : at + size] for at in range(0, len(ordered), size)]

        def fetch_all(number: int, buffer: Tensor) -> None:
            for _, group in groupby(shares[number], key=itemgetter(0)):
                self._fetch([request for _, request in group], buffer)

        self.share_out(fetch_all, len(shares))

    def _fetch(self, group: Sequence[Request], buffer: Tensor) -> None:
        positions = group[0].positions
        for start in range(0, len(positions), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            fetched = torch.index_select(self.gram, 0, positions[rows], out=buffer[: len(positions[rows])])
            for request in group:  # not as one wider product, whose bits might depend on their number
                request.use(rows, fetched)
        takers = [request.take_inner for request in group if request.take_inner is not None]
        if takers:  # then all rows have been fetched at once
            inner = self.gram.new_zeros(ROWS_AT_ONCE, ROWS_AT_ONCE)
            inner[: len(positions), : len(positions)] = fetched.index_select(1, positions)
            for take in takers:
                take(inner)

    def share_out(self, work: Callable[[int, Tensor], None], number: int) -> None:
        """Call a function for 0, 1, ... with a buffer for rows, several at a time where that helps."""
        num_workers = min(len(self.buffers), number)

        @torch.inference_mode()  # holds for one thread only
        def do_share(share: int) -> None:
            for slot in range(share, number, num_workers):
                work(slot, self.buffers[share])

        if num_workers == 1:
            do_share(0)
        else:
            shares = [self.workers.submit(do_share, share) for share in range(num_workers)]
            try:
                for share in shares:
                    share.result()
            finally:
                wait(shares)  # an interruption does not end them, and they write to what the caller holds

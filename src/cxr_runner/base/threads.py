"""The same work on many things, on all cores, in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cxr_runner.base.machine import num_cores
from cxr_runner.base.progress import Reporter

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], words: str, reporter: Reporter
) -> Iterator[Result]:
    """Yield what is made of each item, in order.

    Threads are enough for images: Pillow and NumPy let go of the interpreter lock while they work.

    Args:
        work: called from several threads at once.
        items: what it is called with.
        words: what is done, for people.
        reporter: shows the progress.
    """
    with ThreadPoolExecutor(num_cores()) as pool, reporter.steps(words, len(items)) as advance:
        try:
            for result in pool.map(work, items):
                yield result
                advance()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

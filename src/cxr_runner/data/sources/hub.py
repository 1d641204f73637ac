"""The images of the study, from the Hugging Face Hub or from a local copy of the same parquet files.

The data set's main branch is a loading script, which ``datasets`` refuses since version 4; what is read
instead is the parquet conversion that the Hub keeps beside it, pinned to one revision and, where they are known, to
the checksums of its files (:mod:`cxr_runner.data.sources.pinned`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.base.files import regular
from cxr_runner.base.markdown import printable
from cxr_runner.data.decode import decode
from cxr_runner.data.sources import SPLITS, TIDY, About, Listing, LoadedImage, PassedOver, Record, untidy
from cxr_runner.data.sources.download import fetch, reason
from cxr_runner.data.sources.pinned import altered_files, read_pinned

if TYPE_CHECKING:
    from datasets import Dataset


_PINNED = read_pinned()
REPO: str = _PINNED["repo"]
REVISION: str = _PINNED["revision"]
FILES: dict[str, str] = {split: _PINNED["files"][split]["path"] for split in SPLITS}
SUMS: dict[str, str | None] = {split: _PINNED["files"][split]["sha256"] for split in SPLITS}
COLUMNS = ("image_file_path", "image", "labels")


@dataclass(frozen=True)
class Expected:
    """What the data set must be; the defaults are what the study was trained on.

    Attributes:
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        class_names: names of the negative and the positive class.
    """

    train: int = 4077
    val: int = 1165
    test: int = 582
    class_names: tuple[str, str] = ("NORMAL", "PNEUMONIA")


STUDY = Expected()


class HubSource:
    """Chest X-rays of children, normal or with pneumonia: 4077 / 1165 / 582 images in train / val / test.

    A record is named by the last two parts of its ``image_file_path``, the class and the file
    (``NORMAL/IM-0003-0001_jpeg.rf.3fff.jpg``), since what stands before them is a folder of the machine that
    made the conversion. Should a name come again, the later one gets its number as a folder in front
    (``2/NORMAL/...``), so that the name of the file, which carries the patient, stays whole.

    The encoded images (206 MB) are held in memory while the source lives. ``load_dataset`` would map them
    from disk instead, but only after writing the whole set there a second time.

    Source:
        Kermany, Zhang, Goldbaum (2018), doi:10.17632/rscbjbr9sj.2, CC BY 4.0; this copy is
        https://huggingface.co/datasets/keremberke/chest-xray-classification.
    """

    about = About(
        title="Chest X-ray pneumonia (Kermany et al.)",
        citation=(
            "Kermany, Zhang, Goldbaum, Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for "
            "Classification, Mendeley Data, doi:10.17632/rscbjbr9sj.2; "
            f"distributed by keremberke on the Hugging Face Hub as {REPO}"
        ),
        licence="CC BY 4.0",
    )

    def __init__(self, path: Path | None = None, expected: Expected = STUDY) -> None:
        """Take the images from `path` or, without one, from the Hub.

        Args:
            path: folder with a copy of the files, as ``full/train/0000.parquet`` or
                ``train/0000.parquet`` and so on; None reads them from the Hugging Face cache and downloads
                what is missing there.
            expected: counts and class names to insist on.
        """
        self._path = path
        self._expected = expected
        self._rows: Dataset | None = None

    def signature(self) -> str:
        """Return the pinned revision, or the sizes and times of the local files.

        Raises:
            UserError: a local file is missing.
        """
        if self._path is None:
            return f"hub:{REPO}@{REVISION}"
        stats = [file.stat() for file in _local_files(self._path).values()]
        return "hub:" + ",".join(f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}" for stat in stats)

    def scan(self) -> Listing:
        """List the images in the order of the files, after downloading those that are not in the cache.

        Raises:
            UserError: a file is missing or unreadable, does not hold what it must, or cannot be downloaded; or the
                Hub's has not the sum that is pinned. Of local files that have not, a remark of the listing tells.
        """
        files = self.files()
        remarks = self._verify(files)
        tables = [self._read(split, files[split]) for split in SPLITS]

        from datasets import concatenate_datasets

        self._rows = concatenate_datasets(tables)
        splits = [split for split, table in zip(SPLITS, tables, strict=True) for _ in range(len(table))]
        names = list(_names(self._rows["image_file_path"]))
        if refused := untidy(names):
            raise self._error(f"{TIDY}, unlike {', '.join(refused[:5])}")
        records = map(Record, names, self._rows["labels"], splits)
        return Listing(tuple(records), self._expected.class_names, remarks)

    def passed_over(self) -> tuple[PassedOver, ...]:
        """Return nothing: the files must hold what they are known to hold."""
        return ()

    def files(self) -> dict[str, Path]:
        """Return the three files by split, after downloading those that are not in the cache.

        Raises:
            UserError: a file is missing, or cannot be downloaded.
        """
        if self._path is None:
            return {split: fetch(REPO, REVISION, name) for split, name in FILES.items()}
        return _local_files(self._path)

    def _verify(self, files: dict[str, Path]) -> tuple[str, ...]:
        """Compare the files with their pinned sums; return what has to be said wherever their images are used."""
        # In the Hugging Face cache, a file is a link; what has to be deleted is the file that it leads to.
        altered = altered_files({split: file.resolve() for split, file in files.items()}, SUMS)
        if altered and self._path is None:
            raise self._error(f"{'; '.join(altered)}: not the study's; delete it to download it anew")
        where = "data=chest_xray" if self._path is None else f"data.path={printable(str(self._path))}"
        if altered:
            return (f"warning: {where}: these are not the study's files: {'; '.join(altered)}",)
        if None in SUMS.values():
            return (f"{where}: the files were not verified, their SHA-256 is not known (README, Data)",)
        return ()

    def notes(self) -> tuple[str, ...]:
        """Return nothing: nothing has to be guessed."""
        return ()

    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Return nothing: what is known of the images is in their files."""
        return {}

    def load(self, index: int) -> LoadedImage:
        """Decode one image; safe to call from several threads.

        Args:
            index: position in the listing.

        Raises:
            BadImageError: the row holds no image, or one that cannot be decoded.
        """
        assert self._rows is not None, "load() before scan()"
        image = self._rows[index]["image"]
        if not image or not image["bytes"]:
            raise BadImageError("its row in the parquet file is empty")
        encoded: bytes = image["bytes"]
        return LoadedImage(decode(encoded), digest(encoded))

    def _read(self, split: str, file: Path) -> "Dataset":
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
        from datasets import Dataset, Image

        try:
            content = pq.read_table(regular(file))
            content.validate(full=True)  # otherwise text that is no UTF-8 is noticed when a row is looked at
            # Without this fingerprint, datasets would hash every byte to make one.
            table = Dataset(content, fingerprint=f"{REVISION}-{split}")
            problem = _mismatch(table, split, self._expected)
            if problem is None:
                table = table.select_columns(list(COLUMNS)).cast_column("image", Image(decode=False))
        except MemoryError:
            raise
        except Exception as error:  # what the metadata says of the columns may raise anything
            damaged = f"{file} cannot be read as parquet, it is damaged or foreign ({reason(error)})"
            raise self._error(f"{damaged}; fetch it anew") from error
        if problem:
            raise self._error(f"{problem} in {file}")
        return table

    def _error(self, valid: str) -> UserError:
        if self._path is None:
            return UserError.for_key("data", "chest_xray", valid)
        return UserError.for_key("data.path", self._path, valid)


def _local_files(path: Path) -> dict[str, Path]:
    """Return the three files below `path`, with or without the folder ``full``."""
    whole = (path / "full").is_dir()
    names = {split: name if whole else name.removeprefix("full/") for split, name in FILES.items()}
    if missing := [name for name in names.values() if not (path / name).is_file()]:
        layout = "full/{train,validation,test}/0000.parquet, or the same without full/"
        raise UserError.for_key("data.path", path, f"holds no {', '.join(missing)}; expected are {layout}")
    return {split: path / name for split, name in names.items()}


def _mismatch(table: "Dataset", split: str, expected: Expected) -> str | None:
    """Say what is wrong with a table, if anything is."""
    from datasets import Image

    if missing := [column for column in COLUMNS if column not in table.column_names]:
        return f"expected columns {', '.join(COLUMNS)}, found no {', '.join(missing)}"
    if not isinstance(table.features["image"], Image):
        return f"expected images in column image, found {table.features['image']}"
    names = getattr(table.features["labels"], "names", None)
    if names != list(expected.class_names):
        return f"expected classes {', '.join(expected.class_names)}, found {', '.join(names or ['none'])}"
    if len(table) != (count := getattr(expected, split)):
        return f"expected {count} {split} images, found {len(table)}"
    if strange := set(table["labels"]) - {0, 1}:
        return f"expected labels 0 and 1, found {', '.join(map(str, strange))}"
    if not all(isinstance(path, str) and PurePosixPath(path).name for path in table["image_file_path"]):
        return "expected the path of a file in every row of column image_file_path, found none in some"
    return None


def _names(paths: Iterable[str]) -> Iterator[str]:
    """Shorten file paths to class and file, each unique."""
    seen: Counter[str] = Counter()
    for path in paths:
        name = "/".join(PurePosixPath(path).parts[-2:])
        seen[name] += 1
        yield name if seen[name] == 1 else f"{seen[name]}/{name}"

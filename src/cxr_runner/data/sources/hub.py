"""Images of a set on the Hugging Face Hub, or of a local copy of its parquet files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.base.files import regular
from cxr_runner.base.markdown import printable
from cxr_runner.base.numbers import list_few
from cxr_runner.data.sources import TIDY, About, Listing, LoadedImage, PassedOver, Source, untidy
from cxr_runner.data.sources.classes import Classes, choose_classes, read_names
from cxr_runner.data.sources.download import HubError, fetch, reason
from cxr_runner.data.sources.hub_columns import Found, Schema, find_columns, read_schema
from cxr_runner.data.sources.hub_files import Chosen, choose_files
from cxr_runner.data.sources.hub_preset import MismatchError
from cxr_runner.data.sources.hub_records import FileRows, list_classes, list_records
from cxr_runner.data.sources.hub_revision import Commit, find_commit, is_parquet, list_files
from cxr_runner.data.sources.hub_rows import Rows, read_rows
from cxr_runner.data.sources.pinned import altered_files
from cxr_runner.data.sources.walk import File, Kind, TooManyEntriesError, read_tree

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from cxr_runner.data.sources.hub_set import HubSet

_SIGNATURE = "hub, with depths"  # differs from that of stores that knew no formats and bits


class HubSource(Source):
    """Two classes of images in parquet files.

    A record is named by the last two parts of its path, as a rule the class and the file
    (``NORMAL/IM-0003-0001_jpeg.rf.3fff.jpg``), since what stands before them is a folder of the machine that wrote the
    file; without a path, by the split and the number of its row. Should a name come again, the later one gets its
    number as a folder in front (``2/NORMAL/...``), so that the name of the file, which carries the patient, stays
    whole.

    The encoded images are held in memory while the source lives. ``load_dataset`` would map them from disk instead,
    but only after writing the whole set there a second time.
    """

    def __init__(self, described: "HubSet", path: Path | None = None) -> None:
        """Take the images from `path` or, without one, from the Hub.

        Args:
            described: the set and what is to be made of it.
            path: folder with a copy of the files, laid out as on the Hub; None reads them from the Hugging Face cache
                and downloads what is missing there.
        """
        self._set = described
        self._path = path
        self._images: list[pa.ChunkedArray] = []
        self._places: list[tuple[int, int]] = []  # of each record: which of these, and which row

    @property
    def about(self) -> About:
        """Title and citation as given."""
        return self._set.about

    def signature(self) -> str:
        """Return the commit, or the sizes and times of the local files; and what decides which of them are read.

        The network is needed only where ``data.revision`` is no commit; without it, the last known commit is taken.

        Raises:
            UserError: a local file is missing; or the revision cannot be told.
        """
        options = self._set.options()
        if self._path is None:
            return f"{_SIGNATURE}:{self._set.repo}@{self._commit.id}" + (f":{options}" if options else "")
        stats = [(self._path / name).stat() for _, name in self._names()]
        known = ",".join(f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}" for stat in stats)
        listed = f":{digest(repr(self._chosen.files), 16)}:{options}" if options else ""
        return f"{_SIGNATURE}:{known}{listed}"

    def notes(self) -> tuple[str, ...]:
        """Say which commit a branch stands at."""
        if self._path is not None or not self._commit.branch:
            return ()
        shown = self._set.revision or "null"
        commit, branch = self._commit.id, self._commit.branch
        return (f"data.revision={shown} is commit {commit} of {branch} now; pin it with data.revision={commit}",)

    def scan(self) -> Listing:
        """List the images in the order of the files, after downloading those that are not in the cache.

        Raises:
            UserError: a file is missing or unreadable, does not hold what it must, or cannot be downloaded; or the
                Hub's has not the sum that is pinned. Of local files that have not, a remark of the listing tells.
        """
        files = self.files()
        remarks = self._verify({split or "": file for split, file in files}) if self._set.preset else ()
        read = [FileRows(split, self._read(split, file)) for split, file in files]
        classes, ignored = self._choose_classes(list_classes(read))
        listed = list_records(read, classes, ignored, self._set)
        if refused := untidy(record.name for record in listed.records):
            raise self._error(f"{TIDY}, unlike {', '.join(refused[:5])}")
        self._images, self._places = [file.rows.images for file in read], listed.places
        return Listing(
            tuple(listed.records),
            classes.names,
            remarks,
            self._chosen.passed_over + listed.passed_over,
            self._chosen.notes + listed.notes,
        )

    def passed_over(self) -> tuple[PassedOver, ...] | None:
        """Return nothing of a preset, which must be whole; of another set, only its rows tell."""
        return () if self._set.preset else None

    def files(self) -> list[tuple[str | None, Path]]:
        """Return the files with their splits, after downloading those that are not in the cache.

        Raises:
            UserError: a file is missing, or cannot be downloaded.
        """
        if self._path is not None:
            return [(split, self._path / name) for split, name in self._names()]
        commit = self._commit.id
        with self._blamed():
            return [(split, fetch(self._set.repo, commit, name)) for split, name in self._names()]

    def load(self, index: int) -> LoadedImage:
        """Decode one image; safe to call from several threads.

        Args:
            index: position in the listing.

        Raises:
            BadImageError: the row holds no image, or one that cannot be decoded.
        """
        assert self._places, "load() before scan()"
        file, row = self._places[index]
        encoded: bytes | None = self._images[file][row].as_py()
        if not encoded:
            raise BadImageError("its row in the parquet file is empty")
        from cxr_runner.data.decode import decode  # NumPy and Pillow, which the signature does without

        return LoadedImage(decode(encoded), digest(encoded))

    @cached_property
    def _commit(self) -> Commit:
        with self._blamed():
            return find_commit(self._set)

    @cached_property
    def _chosen(self) -> Chosen:
        preset, patterns = self._set.preset, self._set.patterns.given()
        if preset is None:
            if self._path is not None:
                return choose_files(self._list_local(self._path), self._set)
            with self._blamed():
                names = list_files(self._set, self._commit.id)
            return choose_files(names, self._set)
        if self._path is None:
            return Chosen({split: [name] for split, name in patterns.items()})
        whole = (self._path / preset.outer).is_dir()
        local = {split: name if whole else name.removeprefix(preset.outer) for split, name in patterns.items()}
        if missing := [name for name in local.values() if not (self._path / name).is_file()]:
            raise self._error(f"holds no {', '.join(missing)}; expected are {preset.layout}")
        return Chosen({split: [name] for split, name in local.items()})

    def _names(self) -> list[tuple[str | None, str]]:
        return [(split, name) for split, names in self._chosen.files.items() for name in names]

    def _list_local(self, path: Path) -> list[str]:
        try:
            tables: list[File] = read_tree(path).files[Kind.TABLE]
        except TooManyEntriesError as error:
            raise self._error(f"leads to {error}; name a folder that holds the set and little else") from None
        except OSError as error:
            if not path.is_dir():
                missing = "not a folder" if path.exists() else "no such folder"
                raise self._error(f"{missing}; give one with a copy of the set's parquet files") from error
            raise self._error(f"{error.filename} cannot be read: {error.strerror}") from error
        names = [table.name for table in tables if is_parquet(table.name)]
        if not names:
            raise self._error("holds no parquet files; for folders of images there is data=folder data.root=DIR")
        return sorted(names)

    def _read(self, split: str | None, file: Path) -> Rows:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        problem = None
        try:
            with pq.ParquetFile(regular(file)) as opened:
                schema = read_schema(opened.schema_arrow)
                found = self._find_columns(schema)
                table = opened.read(columns=found.listed())
            table.validate(full=True)  # otherwise text that is no UTF-8 is noticed when a row is looked at
            if self._set.preset:
                names, is_image = schema.class_names.get(found.label), found.image in schema.images
                problem = self._set.preset.find_mismatch(table.select(found.listed()), names, is_image, str(split))
            if problem is None:
                return read_rows(table, schema, found)
        except (MemoryError, UserError):
            raise
        except MismatchError as error:
            problem = str(error)
        except Exception as error:  # a damaged file may raise anything
            damaged = f"{file} cannot be read as parquet, it is damaged or foreign ({reason(error)})"
            raise self._error(f"{damaged}; fetch it anew") from error
        raise self._error(f"{problem} in {file}")

    def _find_columns(self, schema: Schema) -> Found:
        columns = self._set.columns
        if not self._set.preset:
            return find_columns(schema, columns)
        found = Found(str(columns.image), str(columns.label), name=columns.name)
        if missing := [column for column in found.listed() if column not in schema.fields]:
            raise MismatchError(f"expected columns {', '.join(found.listed())}, found no {', '.join(missing)}")
        return found

    def _choose_classes(self, found: list[str]) -> tuple[Classes, list[str]]:
        """Return the two classes among those that there are, and those that ``data.ignore`` leaves out."""
        described = self._set
        ignored = read_names("data.ignore", described.ignore, found)
        present = [name for name in found if name not in ignored]
        if described.positive is None and described.negative is None and len(present) != 2:
            listed = f" ({list_few(present, most=8)})" if present else ""
            valid = f"two classes are needed, found {len(present)}{listed}"
            if len(present) > 2:
                valid += "; choose with data.positive, data.negative and data.ignore, each a name or a list [A,B]"
            raise UserError.for_key("data.label_column", described.columns.label, valid)
        return choose_classes(present, described.positive, described.negative), ignored

    def _verify(self, files: Mapping[str, Path]) -> tuple[str, ...]:
        """Compare the files with their pinned sums; return what has to be said wherever their images are used."""
        preset = self._set.preset
        assert preset is not None
        # In the Hugging Face cache, a file is a link; what has to be deleted is the file that it leads to.
        altered = altered_files({split: file.resolve() for split, file in files.items()}, preset.sums)
        if altered and self._path is None:
            raise self._error(f"{'; '.join(altered)}: not the study's; delete it to download it anew")
        where = f"data={preset.choice}" if self._path is None else f"data.path={printable(str(self._path))}"
        if altered:
            return (f"warning: {where}: these are not the study's files: {'; '.join(altered)}",)
        if None in preset.sums.values():
            return (f"{where}: the files were not verified, their SHA-256 is not known (README, Data)",)
        return ()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Make a refusal of the Hub an error of the key that chose the set."""
        try:
            yield
        except HubError as error:
            raise self._set.error(str(error)) from error

    def _error(self, valid: str) -> UserError:
        return self._set.error(valid, self._path)

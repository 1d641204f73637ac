"""Images in a folder, with their labels, patients and splits in a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cxr_runner.base.checksums import digest
from cxr_runner.base.errors import UserError
from cxr_runner.base.numbers import list_few
from cxr_runner.base.where import read_filter
from cxr_runner.config.data_schema import TableConfig
from cxr_runner.data.extras import DicomOptions
from cxr_runner.data.sources import ROWS, SPLITS, TIDY, About, Listing, LoadedImage, PassedOver, Record, Source, untidy
from cxr_runner.data.sources.image_file import dicom_signature, load_file
from cxr_runner.data.sources.names import names_mask, split_of
from cxr_runner.data.sources.table.columns import TableColumns, locate_columns, pick_header
from cxr_runner.data.sources.table.finder import Finder
from cxr_runner.data.sources.table.labels import Labelling, LabelOptions, make_labelling
from cxr_runner.data.sources.table.rows import TableError, TableRows, read_lines, read_table_rows
from cxr_runner.data.sources.table.sorting import NO_FILE, SEVERAL_FILES, Image, Row, Sorting, is_contradiction
from cxr_runner.data.sources.walk import File, Kind, TooManyEntriesError, Tree, read_tree, suffix_of


class _Scan(NamedTuple):
    """What a look at table and folder gave."""

    listing: Listing
    signature: str
    columns: dict[str, Row]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TableSource(Source):
    """Images below a root, whose labels are in a table.

    Args:
        file: the table.
        root: folder that the images are searched in, by name.
        config: which column holds what, and how labels are read.
    """

    file: Path
    root: Path
    config: TableConfig

    @property
    def about(self) -> About:
        """Title and citation as given."""
        return About(title=self.config.title or self.file.absolute().name, citation=self.config.citation)

    def signature(self) -> str:
        """Return a digest of all labels, splits and patients, and of every image's size and time of change.

        Raises:
            UserError: as :meth:`scan` does.
        """
        return self._scanned.signature

    def scan(self) -> Listing:
        """List the images that the table names, sorted by name; table and folder are read once.

        Raises:
            UserError: the table or the folder cannot be read, a column is missing or not clear, rows contradict each
                other, or too many rows have no image.
        """
        return self._scanned.listing

    def passed_over(self) -> tuple[PassedOver, ...]:
        """Return the rows and the files that are left out now, by reason."""
        return self.scan().passed_over

    def notes(self) -> tuple[str, ...]:
        """Return which columns were guessed, and an encoding."""
        return self._scanned.notes

    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Return the columns of the table for each image, by header and by ``view``, ``sex``, ``age``, ``patient``."""
        return self._scanned.columns

    def load(self, index: int) -> LoadedImage:
        """Read and decode one image, see :func:`~cxr_runner.data.sources.image_file.load_file`."""
        return load_file(self.root / self.scan().records[index].name, self._dicom)

    @property
    def _dicom(self) -> DicomOptions:
        return DicomOptions(self.config.window, self.config.frame)

    @cached_property
    def _scanned(self) -> _Scan:
        table, tree = self._read_table(), self._read_tree()
        finder = Finder(tree.files[Kind.IMAGE])
        columns = locate_columns(self.config, table, finder)
        position = table.headers.index(columns.image)
        finder.expect(row[position] for row in table.rows)
        left_out: Counter[str] = Counter()
        rows = self._filtered(table, columns, left_out)
        labelling = self._labelling(columns, rows)
        self._check_splits(columns, rows)
        lists = self._lists(finder)
        images = Sorting(columns, finder, labelling.label, self.config.rows, lists, left_out).sort(rows)
        self._check_left_out(left_out, columns, finder, rows)
        named = {finder.find(row[position]) for row in table.rows}
        self._check_unused(tree, images, sum(file not in named for file in tree.files[Kind.IMAGE]))
        listing = self._listing(images, labelling, columns, _passed_over(left_out, tree, images))
        changes = [(image.patient, image.file[1:]) for image in images]
        more = dicom_signature(self._dicom) if any(image.file.name in tree.dicom for image in images) else ()
        signature = digest(repr(("table of labels", listing, changes, *more)))
        notes = tuple(note for note in (table.remark, *columns.guessed) if note)
        return _Scan(listing, signature, {image.file.name: image.row for image in images}, notes)

    def _read_table(self) -> TableRows:
        try:
            return read_table_rows(self.file)
        except OSError as error:
            raise UserError.for_key("data.file", self.file, f"cannot be read ({error.strerror})") from None
        except TableError as error:
            raise UserError.for_key("data.file", self.file, str(error)) from None

    def _read_tree(self) -> Tree:
        try:
            tree = read_tree(self.root)
        except TooManyEntriesError as error:
            valid = f"leads to {error}; name a folder that holds the images and little else"
            raise UserError.for_key("data.root", self.root, valid) from None
        except OSError as error:
            valid = f"{error.filename} cannot be read: {error.strerror}" if self.root.is_dir() else "no such folder"
            raise UserError.for_key("data.root", self.root, valid) from None
        if masks := [file.name for file in tree.files[Kind.IMAGE] if names_mask(file.name)]:
            valid = f"{masks[0]} is a mask and no X-ray, by its name; name the folder of the X-rays alone"
            raise UserError.for_key("data.root", self.root, valid)
        if names := untidy(file.name for file in tree.files[Kind.IMAGE]):
            raise UserError.for_key("data.root", self.root, f"{TIDY}; rename {list_few(sorted(names))}")
        return tree

    def _filtered(self, table: TableRows, columns: TableColumns, left_out: Counter[str]) -> list[Row]:
        """Return the rows that fit ``data.where``, with the columns that filters and subgroups know by other names."""
        rows: list[Row] = []
        for values in table.rows:
            row = dict(zip(table.headers, values, strict=True))
            rows.append(row | {name: row[header] for name, header in columns.canonical.items()})
        if self.config.where is None:
            return rows
        wanted = read_filter("data.where", self.config.where)
        known = (*table.headers, *columns.canonical)
        spelled = {name: pick_header("data.where", name, known) for name in wanted.columns}
        fitting = [row for row in rows if wanted.fits({name: row[header] for name, header in spelled.items()})]
        left_out["not as data.where"] += len(rows) - len(fitting)
        if not fitting:
            raise UserError.for_key("data.where", self.config.where, f"fits none of {len(rows):,} rows")
        return fitting

    def _labelling(self, columns: TableColumns, rows: Sequence[Row]) -> Labelling:
        config = self.config
        options = LabelOptions(
            config.positive,
            config.negative,
            config.ignore,
            config.label_separator,
            config.label_match,
            config.uncertain,
            config.empty,
        )
        return make_labelling(columns.label, [row[columns.label] for row in rows], options)

    def _check_splits(self, columns: TableColumns, rows: Sequence[Row]) -> None:
        """Refuse a column of splits none of whose values names one."""
        values = sorted({row[columns.split] for row in rows} - {""}) if columns.split is not None else []
        if strange := [value for value in values if split_of(value) is None]:
            valid = f"holds {list_few(strange)}, which names no split such as train, val and test"
            raise UserError.for_key("data.split_column", columns.split, valid)

    def _lists(self, finder: Finder) -> dict[File, str] | None:
        """Return the split of each file that a list of ``data.split_files`` names."""
        lists: dict[File, str] = {}
        given = {split: getattr(self.config.split_files, split) for split in SPLITS}
        for split, path in given.items():
            if path is None:
                continue
            key = f"data.split_files.{split}"
            try:
                names = read_lines(Path(path).expanduser())
            except OSError as error:
                raise UserError.for_key(key, path, f"cannot be read ({error.strerror})") from None
            files = [file for name in names if (file := finder.find(name)) is not None]
            if len(names) - len(files) > self.config.allow_unmatched * len(names) or not files:
                valid = f"{len(names) - len(files):,} of its {len(names):,} lines name no image below data.root"
                raise UserError.for_key(key, path, f"{valid}; data.allow_unmatched allows a larger share")
            if twice := [file.name for file in files if lists.get(file, split) != split]:
                raise UserError.for_key(key, path, f"names images of another list too: {list_few(twice)}")
            lists |= dict.fromkeys(files, split)
        return lists if any(given.values()) else None

    def _check_left_out(
        self, left_out: Counter[str], columns: TableColumns, finder: Finder, rows: Sequence[Row]
    ) -> None:
        """Refuse a table of which too many rows name no image, or whose rows contradict each other."""
        if left_out[SEVERAL_FILES]:
            name, files = next(
                (name, found) for row in rows if len(found := finder.candidates(name := row[columns.image])) > 1
            )
            valid = (
                f"{name} may be {list_few([file.name for file in files], ' or ')}; name a folder that holds one of them"
            )
            raise UserError.for_key("data.root", self.root, valid)
        num_rows, unmatched = len(rows), left_out[NO_FILE]
        if unmatched > self.config.allow_unmatched * num_rows:
            names = list_few([row[columns.image] or "''" for row in rows], most=2)
            valid = f"{unmatched:,} of {num_rows:,} rows name no image below data.root (rows begin with {names})"
            raise UserError.for_key(
                "data.allow_unmatched",
                self.config.allow_unmatched,
                f"{valid}; allow more if others are missing on purpose",
            )
        if contradicting := [reason for reason in left_out if is_contradiction(reason)]:
            reason = contradicting[0]
            valid = (
                f"{left_out[reason]:,} are {reason}; valid are any, all and majority"
                if self.config.rows == "refuse"
                else reason
            )
            raise UserError.for_key("data.rows", self.config.rows, valid)

    def _check_unused(self, tree: Tree, images: Sequence[Image], num_unnamed: int) -> None:
        """Refuse a folder of which too large a share is in no row, or in formats that are not read."""
        likes = len(tree.files[Kind.LIKE_IMAGE])
        total = len(tree.files[Kind.IMAGE]) + likes
        if likes + num_unnamed > self.config.allow_unused * total:
            valid = f"of {total:,} files that look like images, {num_unnamed:,} are in no row of the table and "
            valid += f"{likes:,} in formats that are not read"
            raise UserError.for_key(
                "data.allow_unused", self.config.allow_unused, f"{valid}; convert or move them, or allow more"
            )
        if not images:
            raise UserError.for_key("data.root", self.root, "no image is left of all rows")

    def _listing(
        self,
        images: Sequence[Image],
        labelling: Labelling,
        columns: TableColumns,
        passed_over: tuple[PassedOver, ...],
    ) -> Listing:
        records = tuple(Record(image.file.name, image.label, image.split, image.patient or None) for image in images)
        for label, name in enumerate(labelling.names):
            if not any(record.label == label for record in records):
                drops = label == 0 and self.config.empty == "drop"
                empty = "; data.empty=negative counts rows without a label" if drops else ""
                raise UserError.for_key("data.label_column", columns.label, f"no image is {name}{empty}")
        return Listing(records, labelling.names, passed_over=passed_over)


def _passed_over(left_out: Counter[str], tree: Tree, images: Sequence[Image]) -> tuple[PassedOver, ...]:
    """Count rows by reason and files by suffix and reason."""
    taken = {image.file for image in images}
    rows = [PassedOver(ROWS, reason, number) for reason, number in sorted(left_out.items()) if number]
    others = Counter(
        (suffix_of(file.name), "of no row that is taken") for file in tree.files[Kind.IMAGE] if file not in taken
    )
    others += Counter(
        (suffix_of(file.name), kind.value) for kind in Kind if kind is not Kind.IMAGE for file in tree.files[kind]
    )
    return (*rows, *(PassedOver(suffix, reason, number) for (suffix, reason), number in sorted(others.items())))

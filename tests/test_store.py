"""The store of decoded images and the data set on top of it."""

import errno
import json
import multiprocessing
import os
import shutil
from dataclasses import replace
from io import FileIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_runner.base.errors import UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.data_schema import FolderConfig, PhantomConfig, SplitConfig
from cxr_runner.data.dataset import open_dataset
from cxr_runner.data.sources.folder import FolderSource
from cxr_runner.data.sources.phantom.source import PhantomSource
from cxr_runner.data.store import open_store

SIDE = 16
STUDY_PATTERN = r"person\d+|IM-\d+"


class CountingReporter(Reporter):
    def __init__(self):
        self.builds = 0

    def steps(self, description, total):
        self.builds += 1
        return super().steps(description, total)


@pytest.fixture
def folder(tmp_path):
    """Twenty pneumonia and ten normal images of 20x24 pixels, two of each patient."""
    rng = np.random.default_rng(0)
    root = tmp_path / "images"
    for name, count in (("PNEUMONIA", 20), ("NORMAL", 10)):
        (root / name).mkdir(parents=True)
        for k in range(count):
            stem = f"person{k // 2}_virus_{k}" if name == "PNEUMONIA" else f"IM-{k // 2:04}-{k}"
            pixels = rng.integers(0, 256, (24, 20), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{stem}.png")
    return root


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _config(folder, strategy=None, **changes):
    config = FolderConfig(
        image_size=SIDE,
        duplicates="drop",
        on_bad_image="error",
        patient_pattern=STUDY_PATTERN,
        train_share=1.0,
        split=SplitConfig(strategy, 0, 1, None, "all", 0.125, None),
        name="folder",
        root=str(folder),
        positive=None,
        negative=None,
        ignore=None,
        class_pattern=None,
        subfolders="same",
        allow_unused=0.05,
        bits="auto",
        where=None,
        window="file",
        frame=None,
        subgroups=None,
        title="",
        citation="",
    )
    return replace(config, **changes)


def test_images_are_stored_grey_square_and_in_order(folder, cache):
    store = open_store(FolderSource(folder), SIDE, cache, Reporter())
    assert store.images.shape == (30, SIDE, SIDE)
    assert store.images.dtype == np.uint8
    assert store.class_names == ("NORMAL", "PNEUMONIA")
    row = store.table.index[store.table["name"] == "PNEUMONIA/person3_virus_7.png"][0]
    with Image.open(folder / "PNEUMONIA/person3_virus_7.png") as image:
        expected = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert (store.images[row] == expected).all()
    assert store.table.loc[row, ["label", "height", "width"]].tolist() == [1, 24, 20]


def test_a_second_start_opens_what_the_first_built(folder, cache):
    reporter = CountingReporter()
    first = open_store(FolderSource(folder), SIDE, cache, reporter)
    second = open_store(FolderSource(folder), SIDE, cache, reporter)
    assert reporter.builds == 1
    assert first.table.equals(second.table)
    assert (first.images == second.images).all()


def test_a_changed_source_or_size_is_built_anew(folder, cache):
    reporter = CountingReporter()
    open_store(FolderSource(folder), SIDE, cache, reporter)
    open_store(FolderSource(folder), SIDE * 2, cache, reporter)
    Image.new("L", (9, 9), 77).save(folder / "NORMAL" / "IM-0001-2.png")
    changed = open_store(FolderSource(folder), SIDE, cache, reporter)
    assert reporter.builds == 3
    row = changed.table.index[changed.table["name"] == "NORMAL/IM-0001-2.png"][0]
    assert (changed.images[row] == 77).all()


def test_writing_to_the_open_images_never_reaches_the_file(folder, cache):
    store = open_store(FolderSource(folder), SIDE, cache, Reporter())
    store.images[:] = 0
    assert open_store(FolderSource(folder), SIDE, cache, Reporter()).images.max() > 0


def test_a_build_that_dies_leaves_nothing_that_counts_as_a_store(folder, cache, monkeypatch):
    source = FolderSource(folder)
    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.data.decode_all.resize_square", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            open_store(source, SIDE, cache, Reporter())
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert open_store(source, SIDE, cache, Reporter()).images.max() > 0


def _damage(path, what):
    if what == "truncated images":
        (path / "images.npy").write_bytes((path / "images.npy").read_bytes()[:-999])
    if what == "flipped pixels":
        content = (path / "images.npy").read_bytes()
        (path / "images.npy").write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    if what == "half a table":
        lines = (path / "table.csv").read_text().splitlines(keepends=True)
        (path / "table.csv").write_text("".join(lines[: len(lines) // 2]))
    if what == "garbage":
        (path / "meta.json").write_bytes(b"\xff\x00garbage")
    if what == "a missing file":
        (path / "table.csv").unlink()


@pytest.mark.parametrize("what", ["truncated images", "flipped pixels", "half a table", "garbage", "a missing file"])
def test_a_damaged_store_is_built_anew(folder, cache, what):
    reporter = CountingReporter()
    whole = open_store(FolderSource(folder), SIDE, cache, reporter)
    expected, table = np.array(whole.images), whole.table
    _damage(whole.path, what)
    again = open_store(FolderSource(folder), SIDE, cache, reporter)
    assert reporter.builds == 2
    assert (again.images == expected).all()
    assert again.table.equals(table)


def test_an_image_that_was_not_at_hand_is_tried_again_at_the_next_start(folder, cache, monkeypatch):
    reporter = CountingReporter()
    with monkeypatch.context() as patch:
        original = Path.open
        patch.setattr(Path, "open", lambda p, *a, **k: _refuse() if "0000-0" in p.name else original(p, *a, **k))
        first = open_store(FolderSource(folder), SIDE, cache, reporter)
    assert first.table["error"].tolist().count("cannot be read: Stale file handle") == 1
    second = open_store(FolderSource(folder), SIDE, cache, reporter)
    assert (second.table["error"] == "").all()
    assert reporter.builds == 2


def _refuse():
    raise OSError(116, "Stale file handle")


def test_a_copy_with_the_same_size_and_time_is_not_taken_for_the_original(folder, cache):
    first = open_dataset(_config(folder), Reporter())
    path = folder / "NORMAL" / "IM-0000-0.png"
    status, content = path.stat(), bytearray(path.read_bytes())
    other = Image.fromarray(255 - np.asarray(Image.open(path)))
    other.save(path)
    path.write_bytes(path.read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert open_dataset(_config(folder, on_bad_image="skip"), Reporter()).fingerprint != first.fingerprint


def test_the_rest_of_a_killed_build_is_cleared_away(folder, cache):
    path = open_store(FolderSource(folder), SIDE, cache, Reporter()).path
    shutil.copytree(path, path.with_name(f"{path.name}.building"))
    shutil.rmtree(path)
    assert len(open_store(FolderSource(folder), SIDE, cache, Reporter()).table) == 30
    assert [p.name for p in cache.iterdir() if p.is_dir()] == [path.name]


def _open_in_process(folder, cache, queue):
    reporter = CountingReporter()
    store = open_store(FolderSource(folder), SIDE, cache, reporter)
    queue.put((reporter.builds, int(store.images.sum())))


def test_processes_that_start_together_build_one_store(folder, cache):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_open_in_process, args=(folder, cache, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(builds for builds, _ in answers) == 1
    assert len({total for _, total in answers}) == 1


def test_too_little_disk_is_said_before_anything_is_decoded(folder, cache, monkeypatch):
    monkeypatch.setattr("cxr_runner.data.store.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))
    reporter = CountingReporter()
    with pytest.raises(UserError, match=r"^CXR_CACHE=.*need 7\.7 kB and only 1\.0 kB are free"):
        open_store(FolderSource(folder), SIDE, cache, reporter)
    assert reporter.builds == 0


def test_a_cache_that_cannot_be_written_is_said_in_one_line(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^CXR_CACHE=.*cannot write here") as caught:
        open_store(FolderSource(folder), SIDE, tmp_path / "file" / "cache", Reporter())
    assert "\n" not in str(caught.value)


def test_phantoms_and_folders_share_one_interface(cache):
    store = open_store(PhantomSource(num_images=20), 32, cache, Reporter())
    assert store.images.shape == (20, 32, 32)
    assert set(store.table["label"]) == {0, 1}


def test_all_unreadable_images_are_listed_at_once_or_skipped_and_recorded(folder, cache):
    (folder / "NORMAL" / "IM-9-1.png").write_bytes(b"no image")
    whole = (folder / "PNEUMONIA" / "person0_virus_0.png").read_bytes()
    (folder / "PNEUMONIA" / "person99_virus_1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        open_dataset(_config(folder), Reporter())
    message = str(caught.value)
    assert message.startswith("data.on_bad_image=error: 2 images cannot be read")
    assert "NORMAL/IM-9-1.png" in message
    assert "PNEUMONIA/person99_virus_1.png" in message
    assert "\n" not in message
    dataset = open_dataset(_config(folder, on_bad_image="skip"), Reporter())
    assert len(dataset.table) == 30
    skipped = dataset.describe()["unreadable_skipped"]
    assert [entry["name"] for entry in skipped] == ["NORMAL/IM-9-1.png", "PNEUMONIA/person99_virus_1.png"]


def test_exact_duplicates_are_dropped_listed_and_kept_on_demand(folder, cache):
    shutil.copy(folder / "NORMAL" / "IM-0000-0.png", folder / "NORMAL" / "IM-0077-1.png")
    with Image.open(folder / "PNEUMONIA" / "person1_virus_2.png") as image:
        image.save(folder / "PNEUMONIA" / "person77_virus_1.bmp")  # other bytes, same pixels
    dataset = open_dataset(_config(folder), Reporter())
    assert dataset.describe()["duplicates_dropped"] == [
        {"name": "NORMAL/IM-0077-1.png", "same_as": "NORMAL/IM-0000-0.png"},
        {"name": "PNEUMONIA/person77_virus_1.bmp", "same_as": "PNEUMONIA/person1_virus_2.png"},
    ]
    assert len(dataset.table) == 30
    kept = open_dataset(_config(folder, duplicates="keep"), Reporter())
    assert len(kept.table) == 32
    assert kept.duplicates.empty


def test_splits_are_made_at_random_or_by_patient_and_never_overlap(folder, cache):
    for strategy in (None, "random", "patient"):
        dataset = open_dataset(_config(folder, strategy), Reporter())
        rows = [set(dataset.rows(split)) for split in ("train", "val", "test")]
        assert set.union(*rows) == set(dataset.table.index)
        assert sum(map(len, rows)) == len(dataset.table) == 30
    patients = dataset.table["name"].str.extract(r"(person\d+|IM-\d+)")[0]
    assert (dataset.table["split"].groupby(patients).nunique() == 1).all()


def test_given_splits_are_kept(folder, tmp_path, cache):
    for split, numbers in (("train", range(12)), ("val", range(12, 16)), ("test", range(16, 20))):
        for name, prefix in (("NORMAL", "IM"), ("PNEUMONIA", "person")):
            target = tmp_path / "given" / split / name
            target.mkdir(parents=True)
            for k in numbers:
                Image.new("L", (8, 8), 10 * k + len(prefix)).save(target / f"{prefix}-{k}.png")
    dataset = open_dataset(_config(tmp_path / "given"), Reporter())
    assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [24, 8, 8]
    assert all(name.startswith("val/") for name in dataset.names("val"))
    assert dataset.labels("test").tolist() == [0] * 4 + [1] * 4
    shutil.rmtree(tmp_path / "given" / "val")
    cut = open_dataset(_config(tmp_path / "given"), Reporter())
    assert cut.names("test") == dataset.names("test")
    assert [len(cut.rows(split)) for split in ("train", "val", "test")] == [20, 4, 8]
    remade = open_dataset(_config(tmp_path / "given", "random"), Reporter())
    assert len(remade.table) == 32


def test_a_folder_without_splits_has_none_to_give(folder, cache):
    with pytest.raises(UserError, match=r"^data\.(root|split\.strategy)=.*random"):
        open_dataset(_config(folder, "given"), Reporter())


def test_the_fingerprint_is_of_the_content_not_of_the_place(folder, tmp_path, cache):
    here = open_dataset(_config(folder), Reporter())
    shutil.copytree(folder, tmp_path / "moved" / "images")
    moved = open_dataset(_config(tmp_path / "moved" / "images"), Reporter())
    assert moved.fingerprint == here.fingerprint
    others = [
        open_dataset(_config(folder, "patient"), Reporter()).fingerprint,
        open_dataset(_config(folder, image_size=SIDE + 1), Reporter()).fingerprint,
        open_dataset(_config(folder, positive="NORMAL"), Reporter()).fingerprint,
    ]
    Image.new("L", (9, 9), 77).save(folder / "NORMAL" / "IM-0001-2.png")
    others.append(open_dataset(_config(folder), Reporter()).fingerprint)
    assert len({here.fingerprint, *others}) == 5


def test_describe_is_ready_for_json(cache):
    config = PhantomConfig(
        SIDE,
        "drop",
        "error",
        r"patient\d+",
        1.0,
        SplitConfig("patient", 0, 1, None, "all", 0.125, None),
        "phantom",
        60,
        0.5,
        0,
        0.0,
    )
    described = json.loads(json.dumps(open_dataset(config, Reporter()).describe()))
    assert described["synthetic"] is True
    assert described["num_images"] == 60
    assert sum(sum(counts.values()) for counts in described["counts"].values()) == 60


@pytest.mark.parametrize("short", [False, True], ids=["refused", "written in part"])
def test_a_disk_that_becomes_full_is_one_line_and_leaves_nothing(folder, cache, monkeypatch, short):
    real = FileIO.write

    class Full(FileIO):
        def write(self, content):
            if not short:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            assert content.nbytes == SIDE**2
            return real(self, content[: len(content) // 2])

    def opened(path, mode="r", **others):
        return Full(path, "r+") if others == {"buffering": 0} else open(path, mode, **others)

    with monkeypatch.context() as patch:
        patch.setattr("cxr_runner.data.decode_all.Path.open", opened)
        with pytest.raises(UserError, match=r"CXR_CACHE=.*No space left on device"):
            open_store(FolderSource(folder), SIDE, cache, Reporter())
    assert not [path for path in cache.iterdir() if path.is_dir()]

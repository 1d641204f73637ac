"""cxr-data cache: what it lists, what it removes, and what it leaves to the processes that use it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from conftest import Answer, call_inside
from cxr_runner import cli
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data import in_use
from cxr_runner.data.cache import FORMAT_VERSION, keep_origin, read_remarks
from cxr_runner.data.dataset import Dataset, open_dataset, open_images
from cxr_runner.data.upkeep import list_cache

DAY = 24 * 60 * 60
SIZES = (16, 24)

HOLDER = """
import sys
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset

dataset = open_dataset(compose(sys.argv[1:])[0].data, Reporter())
images = dataset.images[1:]
del dataset  # a view is enough
print("open", flush=True)
sys.stdin.readline()
print(int(images.sum()), flush=True)
"""

OPENER = """
import sys
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset

for _ in range(4):
    print("open", flush=True)
    dataset = open_dataset(compose(sys.argv[1:])[0].data, Reporter())
    assert dataset.store.is_dir() and dataset.images.any()
    print(dataset.fingerprint, flush=True)
    del dataset
"""


def overrides(size: int) -> list[str]:
    return ["data.num_images=40", f"data.image_size={size}", "progress=none"]


def opened(size: int) -> Dataset:
    return open_dataset(compose(overrides(size))[0].data, Reporter())


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, Path]:
    """Two stores in a cache that is the test's alone, by the size of their images; nobody has them open."""
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "cache"))
    found = {}
    for size in SIZES:
        found[size] = opened(size).store.parent
    return found


@pytest.fixture
def cxr_data(
    own_process: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    return lambda *arguments: call_inside(cli.data, ["cxr-data", *arguments], monkeypatch, capsys)


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def write_derived(store: Path, names: tuple[str, ...] = ("gram.npy", "starts/0a.npy", "starts/0b.npy")) -> list[Path]:
    (derived,) = store.glob("derived-*")
    (derived / "starts").mkdir(exist_ok=True)
    for name in names:
        np.save(derived / name, np.zeros(500))
    return [derived / name for name in names]


def test_the_cache_is_listed_with_data_set_sizes_and_last_use(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    write_derived(stores[16])
    age(stores[24] / "meta.json", 40)
    answer = cxr_data("cache")
    heading, newer, older, total = answer.out.splitlines()
    assert heading.split()[:3] == ["data", "set", "size"]
    today, then = (time.strftime("%Y-%m-%d", time.localtime(time.time() - days * DAY)) for days in (0, 40))
    assert newer.startswith("synthetic phantom data  16x16  40, ")
    assert "4.1 kB       2, 8.3 kB" in newer
    assert newer.split()[-2:] == [today, stores[16].name]
    assert older.split()[-2:] == [then, stores[24].name]
    assert older.split()[3:4] == ["24x24"]
    assert total.startswith("2 folders, ")
    assert total.endswith(f"in {stores[16].parent}")


def test_sizes_add_up_to_what_lies_on_the_disk(stores: dict[int, Path]) -> None:
    write_derived(stores[16])
    sizes = {one.path: one.num_bytes for one in list_cache(stores[16].parent)}
    for store in stores.values():
        assert sizes[store] == sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def test_a_cache_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cxr_data: Callable[..., Answer]
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "none"))
    assert cxr_data("cache").out == f"0 folders, 0 B, in {tmp_path / 'none'}\n"
    assert cxr_data("cache", "--clear").out == "0 B of 0 B removed\n"
    assert not (tmp_path / "none").exists()


def test_everything_that_nobody_uses_is_removed_and_built_anew_when_it_is_needed(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    fingerprint = opened(16).fingerprint
    answer = cxr_data("cache", "--clear")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()[:2]] == ["removed", "removed"]
    assert not any(store.exists() for store in stores.values())
    assert {path.suffix for path in stores[16].parent.iterdir()} == {".lock"}
    assert opened(16).fingerprint == fingerprint
    assert stores[16].is_dir()


def test_only_what_was_not_used_for_the_time_is_removed(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    age(stores[16] / "meta.json", 29)
    age(stores[24] / "meta.json", 31)
    answer = cxr_data("cache", "--clear", "--unused-for", "30d")
    assert stores[16].is_dir()
    assert not stores[24].exists()
    assert answer.out.startswith(f"removed {stores[24].name} (synthetic phantom data, 24x24, last used ")
    cxr_data("cache", "--clear", "--unused-for", "4w")
    assert not stores[16].exists()


def test_opening_a_store_is_its_last_use_noted_once_a_day(stores: dict[int, Path]) -> None:
    meta = stores[16] / "meta.json"
    age(meta, 2)
    opened(16)
    assert abs(meta.stat().st_mtime - time.time()) < DAY / 24
    age(meta, 0.5)
    before = meta.stat().st_mtime
    opened(16)
    assert meta.stat().st_mtime == before


def test_a_store_that_another_process_has_open_is_left_and_named(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    expected = int(opened(16).images[1:].sum())
    command = [sys.executable, "-c", HOLDER, *overrides(16)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        age(stores[16] / "meta.json", 99)  # used for 99 days now
        answer = cxr_data("cache", "--clear", "--unused-for", "30d")
        assert f"left {stores[16].name} " in answer.out
        assert "another process uses it" in answer.out
        assert answer.code == 0
        cxr_data("cache", "--clear")
        assert stores[16].is_dir()
        assert not stores[24].exists()
        assert holder.communicate("\n")[0] == f"{expected}\n"
    cxr_data("cache", "--clear")
    assert not stores[16].exists()


def test_a_store_is_in_use_for_as_long_as_its_images_are(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    torch = pytest.importorskip("torch")
    images = torch.from_numpy(opened(16).images.reshape(40, -1))[3:]
    cxr_data("cache", "--clear")
    assert stores[16].is_dir()
    del images
    cxr_data("cache", "--clear")
    assert not stores[16].exists()


def test_what_another_process_builds_is_left_and_what_a_killed_one_built_is_removed(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    cache = stores[16].parent
    building, removing = cache / "0123456789abcdef-64.building", cache / "fedcba9876543210-8.0a1b2c3d.removing"
    for folder in (building, removing):
        folder.mkdir()
        (folder / "images.npy").write_bytes(bytes(1000))
    assert cxr_data("cache").out.count("left by a killed process") == 2
    with FileLock(cache / "0123456789abcdef-64.lock"):
        answer = cxr_data("cache", "--clear", "--unused-for", "1d")
        assert f"left {building.name} (unknown, 64x64" in answer.out
        assert "another process builds it" in answer.out
        assert (building.is_dir(), removing.exists()) == (True, False)
    cxr_data("cache", "--clear", "--unused-for", "1d")
    assert not building.exists()
    assert all(store.is_dir() for store in stores.values())


def test_stores_of_older_formats_are_named_and_removed_whenever_they_were_used(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    (stores[16] / "meta.json").write_text('{"class_names": ["a", "b"], "shape": [40, 16, 16], "about": "mine"}')
    (stores[24] / "origin.json").write_text(f'{{"format": {FORMAT_VERSION - 1}, "remarks": []}}')
    assert cxr_data("cache").out.count("older format") == 2
    cxr_data("cache", "--clear", "--unused-for", "30d")
    assert list_cache(stores[16].parent) == []


def test_a_store_from_before_formats_were_written_down_is_a_store(stores: dict[int, Path]) -> None:
    (stores[16] / "origin.json").unlink()
    assert [one.problem for one in list_cache(stores[16].parent)] == ["", ""]
    assert read_remarks(stores[16]) == []
    opened(16)


def test_starts_that_were_not_read_for_the_time_are_removed_from_a_store_that_stays(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    gram, old, new = write_derived(stores[16])
    leftover = gram.with_name(".gram.0a0b0c0d.tmp.npy")
    leftover.write_bytes(bytes(10))
    age(gram, 40)
    age(old, 40)
    answer = cxr_data("cache", "--clear", "--unused-for", "30d")
    assert [path.exists() for path in (gram, old, new, leftover)] == [True, False, True, False]
    assert answer.out.startswith(f"removed 1 start of {stores[16].name} ")


def test_what_cxr_runner_did_not_write_is_left_alone(stores: dict[int, Path], cxr_data: Callable[..., Answer]) -> None:
    cache = stores[16].parent
    mine = cache.parent / "mine"
    shutil.copytree(stores[16], mine)
    (cache / "0000000000000000-16").symlink_to(mine)
    (cache / "thesis").mkdir()
    (cache / "0123456789abcdef-64").write_text("a file")
    cxr_data("cache", "--clear")
    assert {path.name for path in cache.iterdir() if path.suffix != ".lock"} == {
        "0000000000000000-16",
        "thesis",
        "0123456789abcdef-64",
    }
    assert (mine / "meta.json").is_file()


def test_a_store_that_is_removed_while_it_is_opened_is_built_anew(
    stores: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, removed = in_use.fcntl.flock, []

    def remove_first(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(stores[16].rename(stores[16].with_name("gone")))
        flock(descriptor, operation)

    monkeypatch.setattr(in_use.fcntl, "flock", remove_first)
    images = open_images(compose(overrides(16))[0].data, Reporter())
    assert removed
    assert images.store.derived.is_dir()
    assert images.intact()


def test_a_lock_on_a_store_that_was_replaced_meanwhile_protects_nothing_and_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta, other = tmp_path / "meta.json", tmp_path / "other.json"
    for path in (meta, other):
        path.write_text("{}")
    monkeypatch.setattr(in_use.fcntl, "flock", lambda *_: other.replace(meta))
    with pytest.raises(FileNotFoundError):
        in_use.hold_shared(meta)


def test_clearing_again_and_again_disturbs_no_process_that_opens_and_builds(
    stores: dict[int, Path], cxr_data: Callable[..., Answer]
) -> None:
    fingerprint, num_removed = opened(16).fingerprint, 0
    command = [sys.executable, "-c", OPENER, *overrides(16)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as opener:
        while opener.poll() is None:
            num_removed += cxr_data("cache", "--clear").out.count(f"removed {stores[16].name} ")
            time.sleep(0.05)
        assert opener.stdout is not None
        assert opener.stderr is not None
        assert (opener.returncode, opener.stderr.read()) == (0, "")
        assert opener.stdout.read().split() == ["open", fingerprint] * 4
    assert num_removed > 1


def test_no_descriptor_stays_open_where_a_store_is_damaged(stores: dict[int, Path]) -> None:
    opened(16)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        (stores[16] / "table.csv").write_text("damaged")
        opened(16)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cache", "--clear", "--unused-for", "soon"], "--unused-for=soon: must be a number of hours, days or weeks"),
        (["cache", "--clear", "--unused-for", "-1d"], "--unused-for"),
        (["cache", "--unused-for", "30d"], "--unused-for=30d: goes with --clear"),
        (["cache", "data=phantom"], "cache: takes no KEY=VALUE such as data=phantom"),
        (["describe", "--clear"], "describe: --clear and --unused-for are flags of cxr-data cache"),
        (["pin", "data=phantom"], "data=phantom: pin takes the SHA-256 of the files of data=chest_xray"),
    ],
)
def test_mistakes_are_answered_in_a_line(
    stores: dict[int, Path], cxr_data: Callable[..., Answer], arguments: list[str], said: str
) -> None:
    answer = cxr_data(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert all(store.is_dir() for store in stores.values())


def test_remarks_are_kept_on_one_line_each(tmp_path: Path) -> None:
    keep_origin(tmp_path, ["two\nlines\x1b[31m"])
    assert read_remarks(tmp_path) == ["two lines [31m"]

import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL import Image as PILImage

from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.data.decode import decode
from cxr_runner.data.sources import chest_xray, download, pinned
from cxr_runner.data.sources.chest_xray import FILES, REPO, REVISION, STUDY, describe_study
from cxr_runner.data.sources.hub import HubSource
from cxr_runner.data.sources.hub_preset import Expected
from cxr_runner.data.store import open_store
from fake_hub import FakeHub, use_cache

CLASSES = ["NORMAL", "PNEUMONIA"]
SMALL = Expected(train=3, val=2, test=2)
ALTERNATIVES = ("data.path=DIR", "data=folder data.root=DIR")

PATHS = {
    "train": [
        "/cache/extracted/0a/NORMAL/IM-0003-0001_jpeg.rf.3fff.jpg",
        "/cache/extracted/0a/PNEUMONIA/person1_virus_6_jpeg.rf.aa.jpg",
        "/cache/extracted/0a/PNEUMONIA/person2_bacteria_3_jpeg.rf.bb.jpg",
    ],
    "val": [
        "/cache/extracted/1b/NORMAL/NORMAL2-IM-0315-0001_jpeg.rf.cc.jpg",
        "/cache/extracted/1b/PNEUMONIA/person1_virus_6_jpeg.rf.aa.jpg",
    ],
    "test": [
        "/cache/extracted/2c/NORMAL/IM-0004-0001_jpeg.rf.dd.jpg",
        "/cache/extracted/2c/PNEUMONIA/person9_virus_1_jpeg.rf.ee.jpg",
    ],
}
LABELS = {split: [int("PNEUMONIA" in path) for path in paths] for split, paths in PATHS.items()}


def study(path: Path | None = None, expected: Expected = STUDY) -> HubSource:
    return HubSource(describe_study(expected), path)


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
    file = BytesIO()
    PILImage.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


IMAGES = {split: [jpeg(10 * number + i) for i in range(len(PATHS[split]))] for number, split in enumerate(PATHS)}


def table(split: str, class_names: list[str] = CLASSES) -> Dataset:
    features = {"image_file_path": Value("string"), "image": Image(), "labels": ClassLabel(names=class_names)}
    columns = {
        "image_file_path": PATHS[split],
        "image": [{"bytes": data, "path": None} for data in IMAGES[split]],
        "labels": LABELS[split],
    }
    return Dataset.from_dict(columns, Features(features))


def write(data: Dataset, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as target:
        data.to_parquet(target)


@pytest.fixture(scope="session")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parquet")
    for split, name in FILES.items():
        write(table(split), root / name)
    return root


@pytest.fixture
def copy(parquet: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(parquet, tmp_path / "copy"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_cache(tmp_path / "cache", monkeypatch)
    return tmp_path / "cache"


@pytest.fixture
def served(parquet: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    files = {name: (parquet / name).read_bytes() for name in FILES.values()}
    with FakeHub(REPO, REVISION, files).serving() as fake:
        monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
        yield fake
        huggingface_hub.close_session()


def error_of(source: HubSource) -> str:
    with pytest.raises(UserError) as caught:
        source.scan()
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what is read


def test_the_listing_carries_names_labels_and_the_data_sets_own_splits(parquet: Path) -> None:
    listing = study(parquet, SMALL).scan()
    assert listing.class_names == ("NORMAL", "PNEUMONIA")
    assert [record.split for record in listing.records] == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert [record.label for record in listing.records] == [0, 1, 1, 0, 1, 0, 1]
    assert listing.records[0].name == "NORMAL/IM-0003-0001_jpeg.rf.3fff.jpg"


def test_a_file_name_that_comes_twice_stays_unique_and_whole(parquet: Path) -> None:
    names = [record.name for record in study(parquet, SMALL).scan().records]
    assert names[1] == "PNEUMONIA/person1_virus_6_jpeg.rf.aa.jpg"
    assert names[4] == "2/PNEUMONIA/person1_virus_6_jpeg.rf.aa.jpg"
    assert len(set(names)) == 7


def test_images_come_from_their_own_row_in_every_thread(parquet: Path) -> None:
    source = study(parquet, SMALL)
    source.scan()
    encoded = [data for split in ("train", "val", "test") for data in IMAGES[split]]
    order = list(range(7)) * 20
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(source.load, order))
    for index, image in zip(order, loaded, strict=True):
        assert image.digest == hashlib.sha256(encoded[index]).hexdigest()
        np.testing.assert_array_equal(image.decoded.values, decode(encoded[index]).grey(8))


def test_a_row_without_an_image_is_a_bad_image_and_no_crash(copy: Path) -> None:
    rows = table("val").cast_column("image", Image(decode=False)).to_dict()
    rows["image"][0] = None
    write(Dataset.from_dict(rows, table("val").features), copy / FILES["val"])
    source = study(copy, SMALL)
    source.scan()
    with pytest.raises(BadImageError, match="empty"):
        source.load(3)
    assert source.load(4).decoded.values.shape == (16, 16)


def test_a_local_copy_may_leave_out_the_folder_full(parquet: Path) -> None:
    assert study(parquet / "full", SMALL).scan() == study(parquet, SMALL).scan()


def test_about_names_authors_licence_and_doi() -> None:
    about = study().about
    assert about.licence == "CC BY 4.0"
    assert not about.synthetic
    for part in ("Kermany", "Zhang", "Goldbaum", "10.17632/rscbjbr9sj.2", "keremberke"):
        assert part in about.citation


# --- the signature


def test_the_signature_of_the_hub_is_its_revision_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cxr_runner.data.sources.hub import HubSource;"
        "from cxr_runner.data.sources.chest_xray import describe_study; print(HubSource(describe_study()).signature());"
        "print(sorted({'datasets', 'pyarrow', 'huggingface_hub', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    signature, heavy = done.stdout.splitlines()
    assert REVISION in signature
    assert heavy == "[]"


def test_the_signature_of_a_copy_changes_with_a_files_time_or_size(copy: Path) -> None:
    signatures = [study(copy).signature(), study(copy).signature()]
    assert signatures[0] == signatures[1]
    file = copy / FILES["test"]
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    signatures.append(study(copy).signature())
    file.write_bytes(file.read_bytes() + b"x")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    signatures.append(study(copy).signature())
    assert len(set(signatures)) == 3


# --- what is refused


def test_missing_local_files_are_listed_with_the_layout_that_is_expected(copy: Path) -> None:
    (copy / FILES["train"]).unlink()
    (copy / FILES["test"]).unlink()
    for ask in (study(copy).signature, study(copy).scan):
        with pytest.raises(UserError) as caught:
            ask()
        message = str(caught.value)
        assert message.startswith(f"data.path={copy}: ")
        assert "no full/train/0000.parquet, full/test/0000.parquet;" in message
        assert "{train,validation,test}/0000.parquet" in message


def test_other_counts_than_the_studys_are_refused_by_default(parquet: Path) -> None:
    message = error_of(study(parquet))
    assert message.startswith(f"data.path={parquet}: ")
    assert "expected 4077 train images, found 3" in message


@pytest.mark.parametrize(
    ("split", "number"),
    [("train", "4077"), ("val", "1165"), ("test", "582")],
)
def test_the_default_expectation_is_the_studys(split: str, number: str) -> None:
    assert str(getattr(Expected(), split)) == number
    assert Expected().class_names == ("NORMAL", "PNEUMONIA")


def test_class_names_in_another_order_are_refused(copy: Path) -> None:
    write(table("test", CLASSES[::-1]), copy / FILES["test"])
    message = error_of(study(copy, SMALL))
    assert "expected classes NORMAL, PNEUMONIA, found PNEUMONIA, NORMAL" in message
    assert FILES["test"] in message


def test_labels_without_class_names_are_refused(copy: Path) -> None:
    write(table("train").cast_column("labels", Value("int64")), copy / FILES["train"])
    assert "expected classes NORMAL, PNEUMONIA, found none" in error_of(study(copy, SMALL))


def test_labels_beyond_the_two_classes_are_refused(copy: Path) -> None:
    rows = table("train").cast_column("image", Image(decode=False)).to_dict()
    rows["labels"][1] = None
    write(Dataset.from_dict(rows, table("train").features), copy / FILES["train"])
    assert "expected labels 0 and 1, found None" in error_of(study(copy, SMALL))


def test_a_missing_column_is_named(copy: Path) -> None:
    write(table("val").rename_column("image_file_path", "path"), copy / FILES["val"])
    message = error_of(study(copy, SMALL))
    assert "expected columns image_file_path, image, labels, found no image_file_path" in message


def test_an_image_column_that_holds_no_images_is_refused(copy: Path) -> None:
    rows = table("val").remove_columns("image").add_column("image", ["a", "b"])
    write(rows, copy / FILES["val"])
    assert "expected images in column image" in error_of(study(copy, SMALL))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PAR1 cut off"])
def test_a_file_that_is_no_parquet_is_named(copy: Path, content: bytes) -> None:
    (copy / FILES["val"]).write_bytes(content)
    message = error_of(study(copy, SMALL))
    assert f"{copy / FILES['val']} cannot be read as parquet" in message


@pytest.mark.parametrize("name", ["two\nlines.jpg", "bell\x07.jpg"])
def test_names_that_no_table_can_hold_are_refused_as_those_of_folders_are(copy: Path, name: str) -> None:
    rows = table("val").cast_column("image", Image(decode=False)).to_dict()
    rows["image_file_path"][1] = f"/cache/NORMAL/{name}"
    write(Dataset.from_dict(rows, table("val").features), copy / FILES["val"])
    message = error_of(study(copy, SMALL))
    shown = ascii(f"NORMAL/{name}")
    assert message == f"data.path={copy}: names of images must be valid UTF-8 on one line, unlike {shown}"


@pytest.mark.parametrize("path", [None, "", "/"])
def test_a_row_without_a_file_name_is_refused(copy: Path, path: str | None) -> None:
    rows = table("val").cast_column("image", Image(decode=False)).to_dict()
    rows["image_file_path"][1] = path
    write(Dataset.from_dict(rows, table("val").features), copy / FILES["val"])
    assert "expected the path of a file in every row of column image_file_path" in error_of(study(copy, SMALL))


FOREIGN = {
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "no features": b'{"info": {"features": null}}',
    "features of another kind": b'{"info": {"features": [1]}}',
    "an unknown feature": b'{"info": {"features": {"image": {"_type": "Hologram"}}}}',
    "features of other columns": b'{"info": {"features": {"a": {"dtype": "int64", "_type": "Value"}}}}',
    "no text": b"\xff\xfe",
    "nested for ever": b'{"info": {"features": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
def test_foreign_metadata_is_damage_and_one_line(copy: Path, metadata: bytes) -> None:
    content = pq.read_table(copy / FILES["val"])
    pq.write_table(content.replace_schema_metadata({b"huggingface": metadata}), copy / FILES["val"])
    message = error_of(study(copy, SMALL))
    assert message.startswith(f"data.path={copy}: ")
    assert str(copy / FILES["val"]) in message


@pytest.mark.parametrize("column", ["image_file_path", "image", "labels"])
@pytest.mark.parametrize("values", [[None, None], [{"bytes": 1}, {}], [1.5, 2.5], [b"\xff", b"\xfe"]])
def test_columns_of_another_type_are_one_line_whatever_the_metadata_says(
    copy: Path, column: str, values: list[object]
) -> None:
    content = pq.read_table(copy / FILES["val"])
    number = content.column_names.index(column)
    other = content.set_column(number, column, pa.array(values)).replace_schema_metadata(content.schema.metadata)
    pq.write_table(other, copy / FILES["val"])
    assert str(copy / FILES["val"]) in error_of(study(copy, SMALL))


# --- whose files they are


@pytest.fixture
def sums(parquet: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The SHA-256 of the files, known to the program for the time of a test."""
    known = {split: hashlib.sha256((parquet / name).read_bytes()).hexdigest() for split, name in FILES.items()}
    monkeypatch.setattr(chest_xray, "SUMS", known)
    return known


def forge(file: Path) -> None:
    """Swap the labels of a file, which stays a valid one in every other respect."""
    rows = table("val").cast_column("image", Image(decode=False)).to_dict()
    rows["labels"] = [1 - label for label in rows["labels"]]
    write(Dataset.from_dict(rows, table("val").features), file)


def test_files_with_the_sums_that_are_known_need_no_remark(sums: dict[str, str], parquet: Path) -> None:
    assert study(parquet, SMALL).scan().remarks == ()


def test_a_forged_download_is_refused_with_both_sums(sums: dict[str, str], served: FakeHub, tmp_path: Path) -> None:
    assert study(None, SMALL).scan().remarks == ()
    forge(tmp_path / "forged")
    file = next((tmp_path / "cache").glob(f"**/snapshots/*/{FILES['val']}")).resolve()
    file.write_bytes((tmp_path / "forged").read_bytes())
    message = error_of(study(None, SMALL))
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"{file} has SHA-256 {actual[:12]}..., not {sums['val'][:12]}..." in message
    assert message.startswith("data=chest_xray: ")
    assert "delete it" in message
    file.unlink()
    assert study(None, SMALL).scan().remarks == ()


def test_local_files_that_are_not_the_studys_are_used_with_a_warning(sums: dict[str, str], copy: Path) -> None:
    forge(copy / FILES["val"])
    (remark,) = study(copy, SMALL).scan().remarks
    assert remark.startswith(f"warning: data.path={copy}: these are not the study's files: {copy / FILES['val']} has")


def test_files_whose_sums_are_not_known_are_said_not_to_be_verified(
    parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chest_xray, "SUMS", dict.fromkeys(FILES))
    (remark,) = study(parquet, SMALL).scan().remarks
    assert remark.startswith(f"data.path={parquet}: the files were not verified, their SHA-256 is not known")


def test_whoever_opens_the_images_again_is_told_again(
    sums: dict[str, str], copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(copy / FILES["val"])
    said: list[list[str]] = []
    for _ in range(2):
        lines: list[str] = []
        monkeypatch.setattr(Reporter, "line", lambda self, text, lines=lines: lines.append(text))
        open_store(study(copy, SMALL), 16, tmp_path / "stores", Reporter())
        said.append(lines)
    assert said[0] == said[1]
    assert [line[:8] for line in said[0]] == ["warning:"]


def test_sums_are_pinned_once_and_never_replaced(
    parquet: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank = pinned.read_pinned()
    for entry in blank["files"].values():
        entry["sha256"] = None
    monkeypatch.setattr(pinned, "PINNED", tmp_path / "pinned.json")
    (tmp_path / "pinned.json").write_text(json.dumps(blank))
    lines = pinned.pin(dict(study(parquet).files()))
    filled = pinned.read_pinned()
    assert [line.split("  ")[0] for line in lines] == [entry["sha256"] for entry in filled["files"].values()]
    assert filled["revision"] == REVISION
    assert filled["files"]["val"]["sha256"] == hashlib.sha256((parquet / FILES["val"]).read_bytes()).hexdigest()
    forge(copy / FILES["val"])
    with pytest.raises(UserError, match="is not replaced"):
        pinned.pin(dict(study(copy).files()))
    assert pinned.read_pinned() == filled


# --- over HTTP


def test_a_download_shows_progress_and_fills_the_cache_under_hf_home(served: FakeHub, tmp_path: Path) -> None:
    code = (
        "from cxr_runner.data.sources.hub import HubSource;"
        "from cxr_runner.data.sources.hub_preset import Expected;"
        "from cxr_runner.data.sources.chest_xray import describe_study;"
        "print(len(HubSource(describe_study(Expected(3, 2, 2))).scan().records))"
    )
    # HF's bars are for terminals; this setting of theirs shows them elsewhere too.
    settings = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": served.endpoint, "TQDM_POSITION": "-1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    assert f"downloading {REPO} full/train/0000.parquet (0.0 MB) from {served.endpoint}" in done.stderr
    assert "100%" in done.stderr
    assert "HTTP" not in done.stderr
    assert "arning" not in done.stderr
    snapshots = list((tmp_path / "home" / "hub").glob(f"datasets--*/snapshots/{REVISION}/full/*/0000.parquet"))
    assert len(snapshots) == 3


def test_what_comes_over_http_equals_the_local_files(served: FakeHub, parquet: Path) -> None:
    assert study(None, SMALL).scan() == study(parquet, SMALL).scan()


def test_a_second_scan_needs_no_network(served: FakeHub) -> None:
    first = study(None, SMALL).scan()
    served.requests.clear()
    served.status = 500
    assert study(None, SMALL).scan() == first
    assert served.requests == []


def test_a_download_that_is_cut_off_goes_on_where_it_stopped(
    served: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = FILES["train"]
    served.cut.add(name)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 64)
    study(None, SMALL).scan()
    whole, rest = served.downloads(name)
    assert whole is None
    half = len(served.files[name]) // 2
    assert half - 64 < int(rest.removeprefix("bytes=").removesuffix("-")) <= half
    assert next(cache.glob(f"**/snapshots/*/{name}")).read_bytes() == served.files[name]


def test_the_libraries_own_talk_is_muted_during_a_download_and_not_after(
    served: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    served.cut.add(FILES["train"])
    caplog.set_level(logging.INFO)
    study(None, SMALL).scan()
    assert caplog.messages == []
    logging.getLogger("huggingface_hub").warning("after")
    assert caplog.messages == ["after"]


def test_a_wrong_count_from_the_hub_names_the_data_set(served: FakeHub) -> None:
    message = error_of(study())
    assert message.startswith("data=chest_xray: expected 4077 train images, found 3")


def test_a_file_that_the_hub_does_not_have_is_named(served: FakeHub) -> None:
    del served.files[FILES["test"]]
    message = error_of(study(None, SMALL))
    assert message.startswith("data=chest_xray: ")
    assert f"does not have {FILES['test']} (HTTP 404)" in message


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (401, "refuses"),
        (403, "refuses"),
        (404, "does not have"),
        (429, "try again"),
        (500, "out of order"),
        (503, "out of order"),
    ],
)
def test_every_refusal_of_the_hub_has_its_own_line_at_once(served: FakeHub, status: int, meaning: str) -> None:
    served.status = status
    start = time.monotonic()
    message = error_of(study())
    assert time.monotonic() - start < 5
    assert f"HTTP {status}" in message
    assert meaning in message


def test_a_web_server_that_is_no_hub_is_told_apart(served: FakeHub) -> None:
    served.a_hub = False
    message = error_of(study())
    assert "is not the Hugging Face Hub" in message
    assert all(alternative in message for alternative in ALTERNATIVES)


def test_a_closed_port_fails_at_once_and_names_both_ways_out(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    start = time.monotonic()
    message = error_of(study())
    assert time.monotonic() - start < 5
    assert message.startswith(f"data=chest_xray: cannot reach the Hugging Face Hub at {endpoint} (")
    assert all(alternative in message for alternative in ALTERNATIVES)
    assert capfd.readouterr().err == ""


def test_a_server_that_never_answers_fails_within_ten_seconds(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    served.silent = True
    shorter = download.REACH_SECONDS - 0.5
    monkeypatch.setattr(download, "REACH_SECONDS", 0.5)
    start = time.monotonic()
    message = error_of(study())
    assert time.monotonic() - start + shorter < 10
    assert "cannot reach the Hugging Face Hub" in message
    assert capfd.readouterr().err == ""


def test_a_name_server_that_never_answers_does_not_hold_the_user_up(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(20)
        raise socket.gaierror("released")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(download, "REACH_SECONDS", 0.2)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    start = time.monotonic()
    message = error_of(study())
    released.set()
    assert time.monotonic() - start < 5
    assert "cannot reach the Hugging Face Hub" in message
    assert all(alternative in message for alternative in ALTERNATIVES)


def test_offline_mode_is_named_as_the_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "(HF_HUB_OFFLINE is set)" in error_of(study())


def test_a_cache_that_cannot_be_written_is_one_line(served: FakeHub, cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where the folder should be")
    message = error_of(study(None, SMALL))
    assert f"the download of {FILES['train']} from {served.endpoint} broke off" in message


def test_the_files_are_read_from_one_pinned_revision(served: FakeHub) -> None:
    study(None, SMALL).scan()
    asked = {path for method, path, _ in served.requests if method == "HEAD"}
    assert asked == {
        f"/datasets/{REPO}/resolve/4f6a71e0aec175c8c6adbe579c5f4c5da67ae6fb/{name}" for name in FILES.values()
    }

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PILImage

from conftest import Answer
from cxr_runner.base.errors import BadImageError, UserError
from cxr_runner.base.progress import Reporter
from cxr_runner.config.compose import compose
from cxr_runner.data.dataset import open_dataset
from cxr_runner.data.sources import About, PassedOver, chest_xray, download
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.sources.hub import HubSource
from cxr_runner.data.sources.hub_files import choose_files
from cxr_runner.data.sources.hub_set import HubSet, Patterns
from fake_hub import FakeHub, use_cache

REPO = "owner/chests"
FIRST = f"{1:040x}"
CLASSES = ["NORMAL", "PNEUMONIA"]
SPLITS = ("train", "validation", "test")


def png(seed: int, bits: int = 8) -> bytes:
    kind = np.uint8 if bits == 8 else np.uint16
    pixels = np.random.default_rng(seed).integers(0, 2**bits, (16, 16), dtype=kind)
    file = BytesIO()
    PILImage.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def images(number: int, start: int = 0, **how: int) -> list[dict[str, Any]]:
    return [{"bytes": png(start + i, **how), "path": None} for i in range(number)]


def parquet(columns: dict[str, list[Any]], **features: Any) -> bytes:
    """Return a file as ``push_to_hub`` writes it; a column without a feature has its values' type."""
    known = {"image": Image(), "label": ClassLabel(names=CLASSES)} | features
    plain = {
        name: known.get(name) or Dataset.from_dict({name: values}).features[name] for name, values in columns.items()
    }
    file = BytesIO()
    Dataset.from_dict(columns, Features(plain)).to_parquet(file)
    return file.getvalue()


def plain(columns: dict[str, Any]) -> bytes:
    """Return a file as other programs write it, which says nothing of features."""
    file = BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def labelled(number: int = 8, start: int = 0) -> bytes:
    return parquet({"image": images(number, start), "label": [i % 2 for i in range(number)]})


def ordinary() -> dict[str, bytes]:
    return {f"data/{split}-00000-of-00001.parquet": labelled(8, 100 * i) for i, split in enumerate(SPLITS)}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    use_cache(tmp_path / "hf", monkeypatch)
    monkeypatch.setenv("CXR_CACHE", str(tmp_path / "stores"))  # the commits of two tests have the same names
    with FakeHub(REPO, "", {}).serving() as fake:
        fake.commit(1, {"README.md": b"", **ordinary()})
        monkeypatch.setenv("HF_ENDPOINT", fake.endpoint)
        yield fake
        huggingface_hub.close_session()


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def cut() -> None:
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        huggingface_hub.close_session()

    return cut


def configured(*overrides: str) -> Any:
    return compose(["data=hub", f"data.repo={REPO}", "data.image_size=16", *overrides])[0].data


def source(*overrides: str) -> HubSource:
    opened = open_source(configured(*overrides))
    assert isinstance(opened, HubSource)
    return opened


def local(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return f"data.path={folder}"


def error_of(*overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        source(*overrides).scan()
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- which commit


def test_a_set_is_read_by_its_name_alone(hub: FakeHub) -> None:
    opened = source()
    listing = opened.scan()
    assert [record.split for record in listing.records] == ["train"] * 8 + ["val"] * 8 + ["test"] * 8
    assert [record.label for record in listing.records] == [0, 1] * 12
    assert listing.class_names == ("NORMAL", "PNEUMONIA")
    assert (listing.records[0].name, listing.records[-1].name) == ("train/0", "test/7")
    assert opened.load(9).digest == hashlib.sha256(png(101)).hexdigest()
    assert opened.notes() == (f"data.revision=null is commit {FIRST} of main now; pin it with data.revision={FIRST}",)
    assert listing.notes == (
        "images are taken from column image (data.image_column)",
        "labels are taken from column label (data.label_column)",
    )
    assert opened.about == About(REPO, f"https://huggingface.co/datasets/{REPO}")


def test_a_commit_is_used_as_it_is_and_asked_for_its_files_once(hub: FakeHub, unreachable: Callable[[], None]) -> None:
    pinned = source(f"data.revision={FIRST}")
    assert FIRST in pinned.signature()
    assert hub.requests == []
    listing = pinned.scan()
    assert pinned.notes() == ()
    assert hub.asked[0] == f"/api/datasets/{REPO}/revision/{FIRST}"
    hub.requests.clear()
    unreachable()
    assert source(f"data.revision={FIRST}").scan() == listing
    assert hub.requests == []


def test_the_signature_of_a_commit_asks_nobody_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cxr_runner.data.sources import About; from cxr_runner.data.sources.hub import HubSource;"
        f"from cxr_runner.data.sources.hub_set import HubSet; said = HubSource(HubSet('o/n', About(''), '{FIRST}'));"
        "print(said.signature(), said.notes());"
        "print(sorted({'datasets', 'pyarrow', 'huggingface_hub', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    signature, heavy = done.stdout.splitlines()
    assert signature.startswith(f"hub, with depths:o/n@{FIRST}:")
    assert heavy == "[]"


def test_to_pin_a_commit_decodes_nothing_again(hub: FakeHub) -> None:
    assert (
        source().signature() == source(f"data.revision={FIRST}").signature() == source("data.revision=main").signature()
    )


def test_a_branch_that_has_moved_is_another_store(hub: FakeHub) -> None:
    before = open_dataset(configured(), Reporter())
    again = open_dataset(configured(), Reporter())
    assert (before.store, before.fingerprint) == (again.store, again.fingerprint)
    second = hub.commit(2, {f"data/{split}-0.parquet": labelled(10, 1000 * i) for i, split in enumerate(SPLITS)})
    after = open_dataset(configured(), Reporter())
    assert len(after.table) == 30
    assert after.store.parent != before.store.parent
    assert f"data.revision=null is commit {second} of main now; pin it with data.revision={second}" in after.notes
    assert open_dataset(configured(f"data.revision={FIRST}"), Reporter()).fingerprint == before.fingerprint


def test_a_data_set_tells_commit_and_columns_in_its_notes(hub: FakeHub) -> None:
    for _ in range(2):  # decoded, then opened
        notes = open_dataset(configured(), Reporter()).describe()["notes"]
        assert notes[0].endswith(f"pin it with data.revision={FIRST}")
        assert "labels are taken from column label (data.label_column)" in notes


def test_a_tag_and_a_branch_are_resolved(hub: FakeHub) -> None:
    second = hub.commit(2, ordinary(), "v1.0")
    assert second in source("data.revision=v1.0").signature()
    third = hub.commit(3, ordinary(), "refs/pr/1")
    assert third in source("data.revision=refs/pr/1").signature()


def test_where_main_has_no_parquet_files_the_conversion_of_the_hub_is_read(hub: FakeHub) -> None:
    hub.commit(2, {"README.md": b"", "chests.py": b"", "data.zip": b""})
    third = hub.commit(3, {"default/train/0000.parquet": labelled(), "default/test/0000.parquet": labelled(8, 50)},
                       "refs/convert/parquet")  # fmt: skip
    opened = source()
    assert third in opened.signature()
    assert {record.split for record in opened.scan().records} == {"train", "test"}
    assert f"is commit {third} of refs/convert/parquet now" in opened.notes()[0]


@pytest.mark.parametrize("revision", ["null", "main"])
def test_without_network_the_last_known_commit_is_used_and_said(
    hub: FakeHub, unreachable: Callable[[], None], capsys: pytest.CaptureFixture[str], revision: str
) -> None:
    asked = f"data.revision={revision}"
    listing, signature = source(asked).scan(), source(asked).signature()
    capsys.readouterr()
    unreachable()
    assert source(asked).signature() == signature
    assert capsys.readouterr().err == (
        f"owner/chests: cannot reach the Hugging Face Hub at {hub.endpoint} (HF_HUB_OFFLINE is set); main as last seen "
        f"is used, commit {FIRST}\n"
    )
    assert source(asked).scan() == listing


def test_a_hub_out_of_order_is_as_good_as_none(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    signature = source().signature()
    hub.status = 503
    assert source().signature() == signature
    assert "HTTP 503" in capsys.readouterr().err
    hub.status = 404  # an answer: the set is gone, and that is said
    assert "no such data set" in error_of()


def test_what_was_kept_of_a_set_may_be_anything(hub: FakeHub, tmp_path: Path) -> None:
    listing = source().scan()
    (kept,) = (tmp_path / "hf").glob("*/cxr_runner.json")
    for content in ("", "[]", '{"branches": 1, "files": {"a": [1]}}', '{"branches": {"": ["main"]}}'):
        kept.write_text(content)
        assert source().scan() == listing


def test_the_cache_of_the_library_stays_sound(hub: FakeHub, tmp_path: Path) -> None:
    source().signature()
    report = huggingface_hub.scan_cache_dir(tmp_path / "hf")
    assert report.warnings == []
    source().scan()
    assert huggingface_hub.scan_cache_dir(tmp_path / "hf").warnings == []


# --- what the Hub refuses


def test_a_set_that_does_not_exist_is_one_line(hub: FakeHub) -> None:
    message = error_of("data.repo=owner/chest")
    assert message.startswith("data.repo=owner/chest: no such data set at http://127.0.0.1")
    assert "or a private one (HTTP 401); check its name and HF_TOKEN; give data.path=DIR" in message


@pytest.mark.parametrize(
    "name", ["https://huggingface.co/datasets/owner/chests", "a/b/c", "..", "owner/../x", "o--o/x"]
)
def test_a_name_that_none_can_have_is_one_line(hub: FakeHub, name: str) -> None:
    assert error_of(f"data.repo={name}") == (
        f"data.repo={name}: valid are OWNER/NAME, as in the address huggingface.co/datasets/OWNER/NAME"
    )
    assert hub.requests == []


def test_a_revision_that_does_not_exist_is_one_line(hub: FakeHub) -> None:
    assert error_of("data.revision=v9") == f"data.revision=v9: {REPO} has no such commit, branch or tag (HTTP 404)"
    missing = "f" * 40
    assert error_of(f"data.revision={missing}").startswith(f"data.revision={missing}: {REPO} has no such commit")


def test_a_gated_set_says_how_to_get_at_it(hub: FakeHub) -> None:
    hub.gated = True
    message = error_of()
    assert message.startswith(f"data.repo={REPO}: {hub.endpoint} gives data/train-00000-of-00001.parquet only to whom")
    assert "(HTTP 403); ask for access on its page and set HF_TOKEN" in message


@pytest.mark.parametrize(("status", "meaning"), [(403, "refuses it"), (429, "try again"), (500, "out of order")])
def test_every_refusal_has_its_line(hub: FakeHub, status: int, meaning: str) -> None:
    hub.status = status
    message = error_of()
    assert message.startswith(f"data.repo={REPO}: ")
    assert f"HTTP {status}" in message
    assert meaning in message
    assert "data.path=DIR" in message


def test_a_server_that_is_no_hub_or_never_answers(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.a_hub = False
    assert "is not the Hugging Face Hub" in error_of()
    hub.silent = True
    monkeypatch.setattr(download, "REACH_SECONDS", 0.3)
    assert "cannot reach the Hugging Face Hub" in error_of()


def test_without_network_and_never_seen_is_one_line(hub: FakeHub, unreachable: Callable[[], None]) -> None:
    unreachable()
    for revision in ("null", FIRST):
        assert "(HF_HUB_OFFLINE is set); give data.path=DIR" in error_of(f"data.revision={revision}")


def test_a_set_without_parquet_files_says_what_it_has(hub: FakeHub) -> None:
    hub.commit(2, {"README.md": b"", "a.jpg": b"", "b.jpg": b""})
    assert error_of() == (
        f"data.repo={REPO}: main has no parquet files (2 .jpg, 1 .md) and the Hub no conversion of them "
        "(refs/convert/parquet); download it and give data=folder data.root=DIR (folders of images)"
    )
    assert error_of("data.revision=main").startswith("data.revision=main: has no parquet files (2 .jpg, 1 .md)")


def test_names_that_lead_out_of_the_cache_are_not_followed(hub: FakeHub) -> None:
    hub.commit(2, {"../../train.parquet": labelled(), "/test.parquet": labelled(), **ordinary()})
    assert len(source().scan().records) == 24


# --- which files


def chosen(names: Sequence[str], **described: Any) -> dict[str | None, list[str]]:
    return choose_files(sorted(names), HubSet(REPO, About(""), **described)).files


@pytest.mark.parametrize(
    "names",
    [
        {
            "train": "data/train-00000-of-00001.parquet",
            "val": "data/validation-00000-of-00001-8b6e212f3e1ece9.parquet",
        },
        {"train": "train.parquet", "test": "test.parquet", "val": "dev.parquet"},
        {"train": "full/train/0000.parquet", "val": "full/validation/0000.parquet"},
        {"train": "full/train-00000-of-00001.parquet", "test": "full/test-00000-of-00001.parquet"},
        {"train": "full/partial-train/0000.parquet", "test": "full/partial-test/0000.parquet"},
        {"train": "data/Training/a/b.parquet", "test": "data/Testing/c.parquet"},
        {"train": "chest_train_2.parquet", "test": "chest_test_2.parquet"},
        {"train": "train_0.parquet", "val": "valid_0.parquet"},
        {None: "everything.parquet"},
        {None: "data/part-00000.parquet"},
    ],
)
def test_usual_layouts_are_recognised(names: dict[str | None, str]) -> None:
    assert chosen(list(names.values())) == {split: [name] for split, name in names.items()}


def test_the_parts_of_a_split_are_read_in_their_order() -> None:
    names = [f"data/train-0000{i}-of-00003.parquet" for i in range(3)]
    assert chosen([*names[::-1], "data/test-00000-of-00001.parquet"])["train"] == names


def test_files_in_no_split_beside_splits_are_passed_over_and_counted(hub: FakeHub) -> None:
    hub.commit(2, {**ordinary(), "data/metadata.parquet": plain({"a": [1]})})
    assert source().scan().passed_over == (PassedOver(".parquet", "named after no split", 1),)


def test_of_several_configurations_one_has_to_be_chosen(hub: FakeHub) -> None:
    hub.commit(2, {f"{config}/{split}/0000.parquet": labelled(number, 100 * i)
                   for config, number in (("full", 8), ("mini", 4)) for i, split in enumerate(SPLITS)})  # fmt: skip
    assert error_of() == (
        "data.config=null: the set has several configurations, choose one of full, mini, or files with "
        "data.files.train=PATTERN"
    )
    assert error_of("data.config=ful") == "data.config=ful: no such configuration, valid are full, mini"
    assert len(source("data.config=mini").scan().records) == 12
    assert len(source("data.files.train=mini/train/*", "data.files.test=full/test/0000.parquet").scan().records) == 12
    both = ("data.config=mini", "data.files.train=*train*", "data.files.test=*test*")
    assert len(source(*both).scan().records) == 8
    assert len({source(f"data.config={config}").signature() for config in ("full", "mini")}) == 2


def test_patterns_choose_files_and_only_these(hub: FakeHub) -> None:
    listing = source("data.files.train=data/validation-*", "data.files.test=data/test-*.parquet").scan()
    assert [record.split for record in listing.records] == ["train"] * 8 + ["test"] * 8
    assert error_of("data.files.train=train-*").startswith(
        "data.files.train=train-*: fits none of the 3 parquet files, such as data/train-00000-of-00001.parquet"
    )
    assert error_of("data.files.train=data/*", "data.files.test=data/test-*") == (
        "data.files.test=data/test-*: fits data/test-00000-of-00001.parquet, which data.files.train fits too: a file "
        "belongs to one split"
    )


def test_a_name_with_brackets_is_a_name_first() -> None:
    names = ["a[1].parquet", "a1.parquet"]
    assert chosen(names, patterns=Patterns(train="a[1].parquet")) == {"train": ["a[1].parquet"]}


def test_a_part_of_a_set_is_called_one(hub: FakeHub) -> None:
    hub.commit(2, {f"default/partial-{split}/0000.parquet": labelled(8, 100 * i) for i, split in enumerate(SPLITS)})
    assert "the Hub has converted the first part of the set only" in source().scan().notes[0]


def test_train_alone_is_no_split(hub: FakeHub) -> None:
    hub.commit(2, {"data/train-0.parquet": labelled(60)})
    listing = source().scan()
    assert {record.split for record in listing.records} == {None}
    assert listing.notes[-1] == "all images are in train, which is taken as no splits"
    dataset = open_dataset(configured(), Reporter())
    assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [42, 12, 6]


def test_of_train_and_test_val_is_cut_from_train(hub: FakeHub) -> None:
    hub.commit(2, {"train.parquet": labelled(40), "test.parquet": labelled(8, 100)})
    dataset = open_dataset(configured("data.split.val_share=0.25"), Reporter())
    assert [len(dataset.rows(split)) for split in ("train", "val", "test")] == [30, 10, 8]


# --- a local copy


def test_a_local_copy_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    path = local(tmp_path / "copy", ordinary())
    opened = source(path)
    assert len(opened.scan().records) == 24
    assert opened.notes() == ()
    assert opened.load(23).decoded.values.shape == (16, 16)
    before = opened.signature()
    assert source(path).signature() == before
    assert source(path, "data.label_column=label").signature() != before
    shutil.copy(tmp_path / "copy/data/train-00000-of-00001.parquet", tmp_path / "copy/data/test-00000-of-00001.parquet")
    assert source(path).signature() != before


def test_a_local_copy_that_is_none_is_one_line(tmp_path: Path) -> None:
    assert error_of(f"data.path={tmp_path}/no") == (
        f"data.path={tmp_path}/no: no such folder; give one with a copy of the set's parquet files"
    )
    assert error_of(f"data.path={tmp_path}").startswith(f"data.path={tmp_path}: holds no parquet files")
    path = local(tmp_path, {"train.parquet": b"PAR1 cut off"})
    assert "train.parquet cannot be read as parquet" in error_of(path)


# --- columns


def test_columns_that_are_named_are_read(tmp_path: Path) -> None:
    rows = {
        "picture": images(6),
        "mask": images(6, 10),
        "finding": ["sick", "well", "sick", "well", "sick", "well"],
        "fold": ["train", "train", "valid", "validation", "Test", "test"],
        "subject": [7, 7, 8, None, 9, 9],
        "file_name": [f"/data/{i // 3}/{i}.png" for i in range(6)],
    }
    path = local(tmp_path, {"all.parquet": parquet(rows, picture=Image(), mask=Image())})
    columns = [f"data.{key}_column={name}" for key, name in
               {"image": "picture", "label": "finding", "split": "fold", "patient": "subject"}.items()]  # fmt: skip
    opened = source(path, *columns, "data.positive=sick")
    listing = opened.scan()
    assert listing.notes == ()
    assert listing.class_names == ("well", "sick")
    assert [record.label for record in listing.records] == [1, 0] * 3
    assert [record.split for record in listing.records] == ["train", "train", "val", "val", "test", "test"]
    assert [record.patient for record in listing.records] == ["7", "7", "8", None, "9", "9"]
    assert [record.name for record in listing.records] == [
        "0/0.png",
        "0/1.png",
        "0/2.png",
        "1/3.png",
        "1/4.png",
        "1/5.png",
    ]
    assert opened.load(1).digest == hashlib.sha256(png(1)).hexdigest()


def test_what_may_be_meant_twice_has_to_be_named(tmp_path: Path) -> None:
    several = {"a": images(2), "b": images(2), "label": [0, 1]}
    path = local(tmp_path / "1", {"all.parquet": parquet(several, a=Image(), b=Image())})
    assert error_of(path) == "data.image_column=null: several columns hold images (a, b); name one"
    one_called_image = {"a": images(2), "image": images(2, 5), "label": [0, 1]}
    path = local(tmp_path / "2", {"all.parquet": parquet(one_called_image, a=Image())})
    assert source(path).scan().notes[0] == "images are taken from column image (data.image_column)"
    two_labels = {"image": images(2), "label": [0, 1], "view": [0, 1]}
    path = local(tmp_path / "3", {"all.parquet": parquet(two_labels, view=ClassLabel(names=["AP", "PA"]))})
    assert source(path).scan().notes[1] == "labels are taken from column label (data.label_column)"
    two_labels = {"image": images(2), "finding": [0, 1], "view": [0, 1]}
    known = {name: ClassLabel(names=CLASSES) for name in ("finding", "view")}
    path = local(tmp_path / "4", {"all.parquet": parquet(two_labels, **known)})
    assert error_of(path) == (
        "data.label_column=null: several may be meant (finding, view); name the column of the labels"
    )
    path = local(tmp_path / "5", {"all.parquet": parquet({"image": images(2), "finding": ["a", "b"]})})
    assert error_of(path) == (
        "data.label_column=null: none is called label; there are image, finding; name the column of the labels"
    )


@pytest.mark.parametrize("key", ["image", "label", "split", "patient"])
def test_a_column_that_does_not_exist_is_one_line_with_the_nearest(tmp_path: Path, key: str) -> None:
    path = local(tmp_path, {"all.parquet": labelled()})
    assert error_of(path, f"data.{key}_column=Labels") == (
        f"data.{key}_column=Labels: no such column, valid are image, label; did you mean label?"
    )


@pytest.mark.parametrize(
    ("key", "values", "valid"),
    [
        ("image", [1, 2], "holds int64 and no encoded images; valid are image"),
        (
            "image",
            ["a.png", "b.png"],
            "the images are not in the parquet files, column odd holds paths or addresses only",
        ),
        ("label", [[0, 1], [1]], "holds list<element: int64>, one label in each row is needed"),
        ("label", [0.5, 1.5], "holds 0.5, which is a measurement and no class"),
        ("label", [b"a", b"b"], "holds binary, one label in each row is needed"),
        ("split", [0, 1], "holds int64, names of splits is needed"),
        ("split", ["a", "b"], "names no split but a, b; valid are train, val (valid, validation, dev) and test"),
        ("patient", [{"id": 1}, {"id": 2}], "holds struct<id: int64>, text or whole numbers is needed"),
    ],
)
def test_columns_of_other_types_are_one_line(tmp_path: Path, key: str, values: list[Any], valid: str) -> None:
    rows = {"image": images(2), "label": ["PNEUMONIA", "NORMAL"], "odd": values}
    path = local(tmp_path, {"all.parquet": plain(rows)})
    assert error_of(path, f"data.{key}_column=odd").startswith(f"data.{key}_column=odd: {valid}")


@pytest.mark.parametrize("column", ["image", "file_name", "url"])
def test_a_table_of_paths_or_addresses_says_so(tmp_path: Path, column: str) -> None:
    path = local(tmp_path, {"all.parquet": plain({column: ["a.png", "b.png"], "label": ["a", "b"]})})
    message = error_of(path)
    assert message.startswith(
        f"data.image_column=null: the images are not in the parquet files, column {column} holds paths or addresses"
    )
    assert "data=folder data.root=DIR" in message


def test_image_columns_without_any_bytes_say_so(tmp_path: Path) -> None:
    pictures = pa.array([{"bytes": None, "path": "a.png"}] * 4, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    path = local(tmp_path, {"all.parquet": plain({"image": pictures, "label": [0, 1] * 2})})
    assert error_of(path).startswith("data.image_column=image: the images are not in the parquet files, column image")


def test_images_may_be_plain_bytes(tmp_path: Path) -> None:
    rows = {"image": [png(i) for i in range(4)], "class": ["PNEUMONIA", "NORMAL"] * 2}
    opened = source(local(tmp_path, {"all.parquet": plain(rows)}))
    assert [record.label for record in opened.scan().records] == [1, 0, 1, 0]
    assert opened.load(3).digest == hashlib.sha256(png(3)).hexdigest()


def test_names_come_from_a_column_of_paths_or_from_the_images_and_stay_unique(tmp_path: Path) -> None:
    pictures = [{"bytes": png(i), "path": name} for i, name in enumerate(["x/a/1.png", "y/a/1.png", None, ""])]
    rows = {"image": pictures, "label": [0, 1] * 2, "id": [10, 11, 12, None]}
    path = local(tmp_path / "1", {"all.parquet": parquet(rows)})
    assert [record.name for record in source(path).scan().records] == ["a/1.png", "2/a/1.png", "12", "rows/3"]
    rows["filename"] = [None, "b/2.png", "b/3.png", "b/4.png"]
    path = local(tmp_path / "2", {"all.parquet": parquet(rows)})
    assert [record.name for record in source(path).scan().records] == ["a/1.png", "b/2.png", "b/3.png", "b/4.png"]


def test_rows_are_counted_on_from_file_to_file(tmp_path: Path) -> None:
    files = {f"train-{i}.parquet": labelled(3, 10 * i) for i in range(2)}
    opened = source(local(tmp_path, files))
    assert [record.name for record in opened.scan().records] == [f"train/{i}" for i in range(6)]
    assert opened.load(4).digest == hashlib.sha256(png(11)).hexdigest()


@pytest.mark.parametrize("name", ["two\nlines.png", "bell\x07.png"])
def test_names_that_no_table_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    rows = {"image": images(2), "label": [0, 1], "file_name": ["a.png", name]}
    path = local(tmp_path, {"all.parquet": parquet(rows)})
    assert "names of images must be valid UTF-8 on one line" in error_of(path)


# --- classes


@pytest.mark.parametrize(
    ("values", "given", "names"),
    [
        (["PNEUMONIA", "Normal", "normal"], [], ("Normal", "PNEUMONIA")),
        (["a", "b", "b"], ["data.positive=b"], ("a", "b")),
        ([0, 1, 1], ["data.positive=1"], ("0", "1")),
        ([0.0, 1.0, 1.0], ["data.positive=1"], ("0", "1")),
        ([True, False, False], ["data.positive=true"], ("false", "true")),
        ([0, 1, 2], ["data.positive=[1,2]"], ("0", "1+2")),
        (["a", "b", "c"], ["data.positive=a", "data.ignore=c"], ("b", "a")),
        (["a", "b", "c"], ["data.positive=a", "data.negative=b"], ("b", "a")),
    ],
)
def test_classes_are_chosen_by_text_number_or_truth(
    tmp_path: Path, values: list[Any], given: list[str], names: tuple[str, str]
) -> None:
    path = local(tmp_path, {"all.parquet": plain({"image": images(3), "label": values})})
    assert source(path, *given).scan().class_names == names


def test_more_than_two_classes_are_one_line(tmp_path: Path) -> None:
    rows = {"image": images(3), "label": [2, 1, 0]}
    names = ClassLabel(names=["NORMAL", "PNEUMONIA", "COVID", "never"])
    path = local(tmp_path, {"all.parquet": parquet(rows, label=names)})
    assert error_of(path) == (
        "data.label_column=null: two classes are needed, found 3 (NORMAL, PNEUMONIA, COVID); choose with "
        "data.positive, data.negative and data.ignore, each a name or a list [A,B]"
    )
    assert error_of(path, "data.positive=PNEUMONIA").startswith("data.negative=null: say which are negative")
    assert error_of(path, "data.positive=COVIT").endswith("did you mean COVID?")
    assert error_of(path, "data.positive=0").startswith("data.positive=0: there is no 0, valid are COVID, NORMAL")


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    rows = {"image": images(8), "label": [0, 1, 2, 2, 3, -1, None, 0],
            "split": ["train", "train", "train", "test", "test", "test", "test", "unused"]}  # fmt: skip
    names = ClassLabel(names=["NORMAL", "PNEUMONIA", "COVID", "TB"])
    path = local(tmp_path, {"all.parquet": parquet(rows, label=names)})
    given = [path, "data.split_column=split", "data.positive=PNEUMONIA", "data.negative=NORMAL", "data.ignore=TB"]
    assert error_of(*given) == (
        "data.allow_unused=0.05: 3 of 5 rows would be passed over (2 without a label and 1 in no split that is known); "
        "allow more"
    )
    opened = source(*given, "data.allow_unused=0.6")
    listing = opened.scan()
    assert listing.passed_over == (
        PassedOver("rows", "in no split that is known", 1),
        PassedOver("rows", "without a label", 2),
        PassedOver("rows of COVID", "of another class", 2),
        PassedOver("rows of TB", "in data.ignore", 1),
    )
    assert len(listing.records) == 2
    assert opened.passed_over() is None


def test_labels_beyond_their_classes_are_one_line(tmp_path: Path) -> None:
    content = pq.read_table(pa.BufferReader(labelled(4)))
    column = content.set_column(1, "label", pa.array([0, 1, 2, 0]))
    pq.write_table(column.replace_schema_metadata(content.schema.metadata), tmp_path / "all.parquet")
    assert error_of(f"data.path={tmp_path}") == (
        "data.label_column=label: holds 2, but its classes have the numbers 0 to 1"
    )


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": {"features": {"label": {"_type": "ClassLabel"}}}}',
                                      b'{"info": {"features": {"other": {"_type": "Hologram"}}}}', b"\xff",
                                      b'{"info": ' + b"[" * 100_000])  # fmt: skip
def test_foreign_metadata_tell_nothing(tmp_path: Path, metadata: bytes) -> None:
    content = pq.read_table(pa.BufferReader(labelled(4)))
    pq.write_table(content.replace_schema_metadata({b"huggingface": metadata}), tmp_path / "all.parquet")
    assert source(f"data.path={tmp_path}", "data.positive=1").scan().class_names == ("0", "1")


# --- images


def test_rows_without_an_image_are_bad_images(tmp_path: Path) -> None:
    rows = {"image": [*images(38), None, {"bytes": b"no image", "path": None}], "label": [0, 1] * 20}
    path = local(tmp_path, {"all.parquet": parquet(rows)})
    opened = source(path)
    opened.scan()
    with pytest.raises(BadImageError, match="its row in the parquet file is empty"):
        opened.load(38)
    with pytest.raises(UserError, match="2 images cannot be read: rows/38"):
        open_dataset(configured(path), Reporter())
    dataset = open_dataset(configured(path, "data.on_bad_image=skip"), Reporter())
    assert dataset.unreadable["name"].tolist() == ["rows/38", "rows/39"]
    assert len(dataset.table) == 38


def test_twelve_bits_in_sixteen_are_scaled_by_twelve(tmp_path: Path) -> None:
    rows = {"image": images(40, bits=12), "label": [0, 1] * 20}
    path = local(tmp_path, {"all.parquet": parquet(rows)})
    dataset = open_dataset(configured(path), Reporter())
    assert dataset.inventory["bits"] == 12
    assert dataset.images.max() > 250
    assert open_dataset(configured(path, "data.bits=16"), Reporter()).images.max() < 20


# --- the study's set, and the whole way


def test_the_preset_and_its_description_by_keys_give_the_same_images(tmp_path: Path) -> None:
    paths = [f"/cache/{name}/{i}.png" for i, name in enumerate(CLASSES * 4)]
    rows = {"image_file_path": paths, "image": images(8), "labels": [0, 1] * 4}
    features = {"labels": ClassLabel(names=CLASSES)}
    files = {
        f"full/{split}/0000.parquet": parquet(rows | {"image": images(8, 10 * i)}, **features)
        for i, split in enumerate(SPLITS)
    }
    path = local(tmp_path, files)
    expected = replace(chest_xray.STUDY, train=8, val=8, test=8)
    preset = HubSource(chest_xray.describe_study(expected), tmp_path)
    by_keys = source(path, f"data.repo={chest_xray.REPO}")
    assert preset.scan() == by_keys.scan()
    assert preset.signature() != by_keys.signature()


def test_the_signature_of_the_study_is_its_commit_and_not_that_of_stores_without_an_inventory() -> None:
    signature = HubSource(chest_xray.describe_study()).signature()
    assert signature == f"hub, with depths:keremberke/chest-xray-classification@{chest_xray.REVISION}"


def test_a_configuration_of_the_study_has_the_keys_that_every_source_has() -> None:
    data = compose(["data=chest_xray"])[0].data
    assert set(vars(data)) == {
        "duplicates", "image_size", "name", "on_bad_image", "patient_pattern", "path", "split", "train_share",
    }  # fmt: skip
    assert (data.name, open_source(data).signature()) == (
        "chest_xray",
        HubSource(chest_xray.describe_study()).signature(),
    )


def test_a_run_trains_on_a_set_from_the_hub(hub: FakeHub, cxr_run: Callable[..., Answer]) -> None:
    answer = cxr_run(
        "data=hub", f"data.repo={REPO}", "data.image_size=16", "epochs=1", "device=cpu", "progress=lines"
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert f"pin it with data.revision={FIRST}" in answer.out + answer.err


def test_a_missing_name_of_a_set_is_one_line(cxr_run: Callable[..., Answer]) -> None:
    assert cxr_run("data=hub").err == "cxr-run: data.repo=???: needs a value, give data.repo=...\n"

"""cxr-data recipe: originals become the images of a set, and how far they agree is said of each."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Answer
from cxr_runner.base.errors import UserError
from cxr_runner.data.recipes.image_check import Tolerance, check_image, read_checks, write_checks
from cxr_runner.data.recipes.recipe_file import load_recipe, packaged_recipes, parse_recipe

SIDE = 32
RECIPE = f"""\
schema: 1
title: Ward 7, reduced
citation: Nobody et al., 2020
licence: CC0
originals: the folder ward7
classes: [ILL, WELL]
endings: [.jpeg, .png]
side: {SIDE}
filters: [bilinear, lanczos, bicubic]
quality: 75
checks: ward.csv.xz
tolerance: {{tiles: 2.0, sharpness: 0.15}}
"""
IMAGES = Path(os.environ.get("CXR_DATA", "../shared/data/kermany-224"))


def original(number: int) -> Image.Image:
    """Draw an image of its own size: blobs and a fine pattern, by which filters differ."""
    rng = np.random.default_rng(number)
    width, height = (int(side) for side in rng.integers(90, 160, 2))
    y, x = np.mgrid[:height, :width]
    waves = sum(20 * np.sin(x / a + number) * np.cos(y / b) for a, b in rng.uniform(1.5, 20, (6, 2)))
    return Image.fromarray(np.clip(128 + waves, 0, 255).astype(np.uint8))


@pytest.fixture
def ward(elsewhere: Path) -> Path:
    """A recipe of twelve images, that were reduced by bicubic, and their originals in train and test."""
    checks = {}
    for number in range(12):
        label = ("ILL", "WELL")[number % 2]
        folder = elsewhere / "ward7" / ("train", "test")[number // 8] / label
        folder.mkdir(parents=True, exist_ok=True)
        original(number).save(folder / f"{number}.jpeg", quality=95)
        with Image.open(folder / f"{number}.jpeg") as image:
            image.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB").save("small.jpeg", quality=75)
        checks[f"{label}/{number}.jpeg"] = check_image(np.asarray(Image.open("small.jpeg").convert("L")))
    (elsewhere / "ward.yaml").write_text(RECIPE)
    (elsewhere / "ward.csv.xz").write_bytes(write_checks(checks))
    return elsewhere / "ward7"


def test_originals_become_the_set_by_the_filter_that_agrees(ward: Path, cxr_data: Callable[..., Answer]) -> None:
    answer = cxr_data("recipe", "ward.yaml", "ward7", "set")
    assert (answer.code, answer.err) == (0, "")
    assert "Ward 7, reduced: 12 images in set" in answer.out
    assert "32x32, bicubic, JPEG of quality 75; CC0" in answer.out
    assert "exactly            12\n" in answer.out
    assert "within tolerance   0\n" in answer.out
    assert "sharpness          1.000 times" in answer.out
    written = sorted(path.relative_to("set").as_posix() for path in Path("set").rglob("*.jpeg"))
    assert written == sorted(f"{('ILL', 'WELL')[number % 2]}/{number}.jpeg" for number in range(12))
    with Image.open("set/ILL/0.jpeg") as image:
        assert (image.mode, image.size) == ("RGB", (SIDE, SIDE))
    assert cxr_data("recipe", "ward.yaml", "ward7", "again").code == 0
    assert all((Path("again") / name).read_bytes() == (Path("set") / name).read_bytes() for name in written)


def test_what_is_missing_extra_unreadable_or_another_image_is_said(ward: Path, cxr_data: Callable[..., Answer]) -> None:
    (ward / "train" / "ILL" / "0.jpeg").unlink()
    (ward / "train" / "WELL" / "1.jpeg").write_bytes(b"no image")
    original(99).save(ward / "train" / "ILL" / "2.jpeg")
    near = Image.open(ward / "train" / "WELL" / "3.jpeg").point(lambda grey: min(grey + 1, 255))
    near.save(ward / "train" / "WELL" / "3.jpeg", quality=95)
    original(50).save(ward / "test" / "ILL" / "50.png")
    (ward / "val" / "ILL").mkdir(parents=True)
    (ward / "val" / "ILL" / "4.jpeg").write_bytes((ward / "train" / "ILL" / "4.jpeg").read_bytes())
    (ward / "val" / "ILL" / "._4.jpeg").write_bytes(b"of macOS")
    (ward / "README.txt").write_text("what this is")
    answer = cxr_data("recipe", "ward.yaml", "ward7", "set")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "4 images missing, left out or not as in the set used here: set-agreement.csv" in answer.err
    for line in (
        "exactly            8\n",
        "within tolerance   1\n",
        "not                1: ILL/2.jpeg\n",
        "missing            1: ILL/0.jpeg\n",
        "not in the set     1: ILL/50.png\n",
        "cannot be read     1: WELL/1.jpeg\n",
        "same file twice    1: 4.jpeg\n",
        "no image           2: README.txt, ._4.jpeg\n",
    ):
        assert f"  {line}" in answer.out, answer.out
    rows = dict(line.strip('"').split('","') for line in Path("set-agreement.csv").read_text().splitlines()[1:])
    assert rows["ILL/2.jpeg"] == "not"
    assert rows["WELL/1.jpeg"].startswith("cannot be read: cannot identify image file")
    assert len(rows) == 13
    assert len(list(Path("set").rglob("*.jpeg"))) == 10


def test_a_recipe_without_checks_is_followed_with_its_first_filter(ward: Path, cxr_data: Callable[..., Answer]) -> None:
    Path("plain.yaml").write_text(RECIPE.replace("ward.csv.xz", '""'))
    answer = cxr_data("recipe", "plain.yaml", "ward7", "set")
    assert (answer.code, "bilinear" in answer.out, "not checked        12\n" in answer.out) == (0, True, True)
    assert "exactly" not in answer.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "recipe: give a recipe (kermany, or a file), SOURCE and TARGET, given: "),
        (["ward.yaml", "ward7"], "given: ward.yaml ward7"),
        (["nobody", "ward7", "set"], "nobody: no such recipe; valid are kermany and the path of a file"),
        (["ward.yaml", "nowhere", "set"], "SOURCE=nowhere: no such folder; give the folder ward7"),
        (["ward.yaml", "empty", "set"], "SOURCE=empty: no image in a folder ILL and WELL; give the folder ward7"),
        (["kermany", "ward7", "set"], "SOURCE=ward7: no image in a folder NORMAL and PNEUMONIA; give the folder chest"),
        (["ward.yaml", "ward7", "ward7"], "TARGET=ward7: exists already; give a folder that does not"),
        (["ward.yaml", "ward7", "ward.yaml/set"], "TARGET=ward.yaml/set: cannot be written"),
        (["broken.yaml", "ward7", "set"], "broken.yaml, line 10: quality=175: must be at most 100"),
        (["ward.yaml", "twice", "set"], "SOURCE=twice: two images are called ILL/0.jpeg: twice/a/ILL/0.jpeg and "),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    ward: Path, cxr_data: Callable[..., Answer], words: list[str], said: str
) -> None:
    Path("empty").mkdir()
    Path("broken.yaml").write_text(RECIPE.replace("quality: 75", "quality: 175"))
    for number, part in enumerate("ab"):
        (Path("twice") / part / "ILL").mkdir(parents=True)
        original(number).save(Path("twice") / part / "ILL" / "0.jpeg")
    before = sorted(Path().rglob("*"))
    answer = cxr_data("recipe", *words)
    assert (answer.code, answer.err.count("\n"), said in answer.err) == (2, 1, True), answer.err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    "change", ["side: 0", "filters: [cubic]", "filters: []", "colour: red", "schema: 2", "[", "side:"]
)
def test_a_recipe_that_cannot_be_followed_is_refused(change: str) -> None:
    key = change.partition(":")[0]
    lines = [line for line in RECIPE.splitlines() if not line.startswith(f"{key}:")]
    with pytest.raises(UserError, match="ward"):
        parse_recipe("\n".join([*lines, change]), "ward.yaml")


def test_checks_tell_pixels_greys_and_sharpness_apart() -> None:
    image = np.asarray(original(0).resize((64, 64), Image.Resampling.LANCZOS))
    check, tolerance = check_image(image), Tolerance(tiles=2, sharpness=0.15)
    assert read_checks(write_checks({'a "name", with commas.png': check})) == {'a "name", with commas.png': check}
    assert check.agreement(check_image(image.copy()), tolerance) == "exactly"
    changed = image.copy()
    changed[5, 5] ^= 1
    assert check.agreement(check_image(changed), tolerance) == "within tolerance"
    darker = image.copy()
    darker[:16, :16] = np.clip(darker[:16, :16].astype(int) - 5, 0, 255)
    assert check.agreement(check_image(darker), tolerance) == "not"
    smooth = np.asarray(Image.fromarray(image).resize((32, 32)).resize((64, 64)))
    assert check.distance(check_image(smooth)) <= 2
    assert check.agreement(check_image(smooth), tolerance) == "not"
    for damaged in (b"", b"no xz", write_checks({"a": check})[:-20]):
        with pytest.raises(Exception, match=r"."):
            read_checks(damaged)


def test_the_recipe_of_the_study_has_the_checks_of_all_images() -> None:
    assert packaged_recipes() == ["kermany"]
    recipe, checks = load_recipe("kermany")
    assert (recipe.side, recipe.quality, recipe.licence) == (224, 75, "CC BY 4.0")
    counts = {label: sum(name.startswith(f"{label}/") for name in checks) for label in recipe.classes}
    assert counts == {"NORMAL": 1583, "PNEUMONIA": 4273}
    digits = [check.checksum for check in checks.values()]
    assert len(digits) - len(set(digits)) == 32  # the copies in the raw set, and no two others


@pytest.mark.long
@pytest.mark.skipif(not IMAGES.is_dir(), reason="needs the real images; CXR_DATA names their folder")
def test_the_checks_are_those_of_the_images_used_here() -> None:
    _, checks = load_recipe("kermany")
    paths = {f"{path.parent.name}/{path.name}": path for path in IMAGES.glob("*/*.jpeg")}
    assert paths.keys() == checks.keys()
    assert all(check_image(np.asarray(Image.open(path).convert("L"))) == checks[name] for name, path in paths.items())

"""The synthetic radiographs: counts, determinism, and how hard they are."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression

from cxr_runner.data.sources import Source
from cxr_runner.data.sources.phantom.source import MAX_IMAGES_PER_PATIENT, POSITIVE_SHARE, PhantomSource

SIDE = 64
LUNGS = np.s_[:, 18:40, [*range(12, 24), *range(44, 52)]]


def patient_of(name: str) -> str:
    match = re.search(r"patient\d+", name)
    assert match is not None
    return match.group()


def load_small(source: PhantomSource) -> NDArray[np.float64]:
    """Return all images of a source as (n, 64, 64), from 0 to 1."""

    def load(index: int) -> NDArray[np.uint8]:
        image = Image.fromarray(source.load(index).decoded.values)
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))

    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(load, range(source.num_images)))
    return np.stack(images) / 255.0


def labels_of(source: PhantomSource) -> NDArray[np.int64]:
    return np.array([record.label for record in source.scan().records])


@pytest.fixture(scope="module")
def usual() -> tuple[PhantomSource, NDArray[np.float64]]:
    """A source of the default difficulty and its images."""
    source = PhantomSource(200)
    return source, load_small(source)


def test_it_is_a_source_that_says_it_is_synthetic() -> None:
    source: Source = PhantomSource()
    assert source.about.synthetic
    assert "no patient was imaged" in source.about.citation
    assert source.scan().class_names == ("NORMAL", "PNEUMONIA")


@pytest.mark.parametrize("num_images", [20, 57, 800])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counts_are_exact_and_the_balance_is_within_one_patient(num_images: int, seed: int) -> None:
    records = PhantomSource(num_images, seed=seed).scan().records
    assert len(records) == num_images
    assert len({record.name for record in records}) == num_images
    positives = sum(record.label for record in records)
    assert abs(positives - POSITIVE_SHARE * num_images) <= MAX_IMAGES_PER_PATIENT


def test_every_patient_has_one_label_and_one_to_four_images() -> None:
    patients: dict[str, list[int]] = {}
    for record in PhantomSource(200).scan().records:
        assert re.fullmatch(r"(NORMAL|PNEUMONIA)/patient\d{4}-[1-4]\.png", record.name)
        assert record.name.startswith("PNEUMONIA/") == (record.label == 1)
        assert record.split is None
        patients.setdefault(patient_of(record.name), []).append(record.label)
    assert {len(labels) for labels in patients.values()} == {1, 2, 3, 4}
    assert all(len(set(labels)) == 1 for labels in patients.values())


def test_the_order_of_the_images_says_nothing_about_the_label() -> None:
    labels = labels_of(PhantomSource(800))
    assert abs(np.corrcoef(labels, np.arange(800))[0, 1]) < 0.15


def test_images_are_grey_squares_that_use_the_range() -> None:
    image = PhantomSource(20).load(0)
    assert image.digest == ""
    assert image.decoded.values.shape == (640, 640)
    assert image.decoded.values.dtype == np.uint8
    assert np.quantile(image.decoded.values, 0.01) < 30
    assert np.quantile(image.decoded.values, 0.99) > 160


def test_the_same_bytes_come_back_in_any_order_and_from_threads() -> None:
    forwards = [PhantomSource(20).load(index).decoded.values.tobytes() for index in range(8)]
    source = PhantomSource(20)
    backwards = [source.load(index).decoded.values.tobytes() for index in reversed(range(8))]
    with ThreadPoolExecutor(4) as pool:
        threaded = [image.decoded.values.tobytes() for image in pool.map(PhantomSource(20).load, range(8))]
    assert forwards == backwards[::-1] == threaded
    assert len(set(forwards)) == 8


def test_another_seed_or_difficulty_is_another_data_set() -> None:
    sources = [PhantomSource(20), PhantomSource(20, seed=1), PhantomSource(20, difficulty=0.6), PhantomSource(21)]
    assert len({source.signature() for source in sources}) == 4
    assert PhantomSource(20).signature() == sources[0].signature()
    assert len({source.load(0).decoded.values.tobytes() for source in sources[:3]}) == 3


def test_another_hospital_has_the_same_patients_in_other_pictures() -> None:
    here, there = PhantomSource(20), PhantomSource(20, site=1.0)
    assert PhantomSource(20, site=0.0).signature() == here.signature() == "phantom-v1-20-0.5-0"
    assert there.signature() == "phantom-v1-20-0.5-0-site1.0"
    assert there.scan() == here.scan()
    nearer = PhantomSource(20, site=0.5)
    for index in range(3):
        images = [source.load(index).decoded.values.astype(float) for source in (here, nearer, there)]
        middles = [image[200:440, 200:440].mean() for image in images]
        assert middles[0] < middles[1] < middles[2]
        assert (images[2][:, :51] == 0).all()
        assert (images[2][:, -51:] == 0).all()
        assert images[2][300:340, 60:580].min() > 0
    assert here.load(0).decoded.values.tobytes() == PhantomSource(20).load(0).decoded.values.tobytes()


def test_images_of_one_patient_resemble_each_other_more_than_those_of_others() -> None:
    source = PhantomSource(60, difficulty=0.0)
    healthy = labels_of(source) == 0
    patients = np.array([patient_of(record.name) for record in source.scan().records])[healthy]
    pixels = load_small(source)[healthy].reshape(len(patients), -1)
    apart = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    pairs = np.triu(np.ones_like(apart, dtype=bool), 1)
    same = patients[:, None] == patients[None]
    assert apart[pairs & same].min() > 0.0
    assert apart[pairs & same].mean() < 0.8 * apart[pairs & ~same].mean()


def test_opacities_whiten_the_lungs_less_where_the_difficulty_is_higher() -> None:
    def whitening(difficulty: float) -> float:
        source = PhantomSource(30, difficulty)
        lungs = load_small(source)[LUNGS].mean(axis=(1, 2))
        labels = labels_of(source)
        return float(lungs[labels == 1].mean() - lungs[labels == 0].mean())

    easy, middle, hard = whitening(0.0), whitening(0.5), whitening(1.0)
    assert easy > middle + 0.04 > hard + 0.08


def test_nothing_outside_the_chest_tells_the_label(usual: tuple[PhantomSource, NDArray[np.float64]]) -> None:
    source, images = usual
    labels = labels_of(source)
    patients = len({patient_of(record.name) for record in source.scan().records})
    for edge in (images[:, :5], images[:, -3:], images[:, :, :3]):
        brightness = edge.mean(axis=(1, 2))
        difference = brightness[labels == 1].mean() - brightness[labels == 0].mean()
        standard_error = brightness.std() / np.sqrt(patients * POSITIVE_SHARE * (1 - POSITIVE_SHARE))
        assert abs(difference) < 3 * standard_error


def test_a_linear_model_does_better_than_the_majority_and_not_perfectly(
    usual: tuple[PhantomSource, NDArray[np.float64]],
) -> None:
    source, images = usual
    pixels = images.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    labels = labels_of(source)
    train = np.random.default_rng(0).permutation(len(labels)) < 130
    model = LogisticRegression(C=0.01, max_iter=1000).fit(pixels[train], labels[train])
    accuracy = model.score(pixels[~train], labels[~train])
    assert labels[~train].mean() + 0.05 < accuracy < 1.0

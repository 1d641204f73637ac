"""Building the store: from JPEG files, against Pillow on the same files; from DICOM, beside PNG and JPEG."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import uid

from benchmarks.measuring import Contestant, Options, Result, Work, compare, start
from benchmarks.workloads import REAL, compose_run
from cxr_runner.base.progress import Reporter
from cxr_runner.data.sources.catalogue import open_source
from cxr_runner.data.sources.phantom.source import PhantomSource
from cxr_runner.data.store import open_store
from dicom_files import make
from odd_sets import drawn

NUM_IMAGES, NUM_QUICK = 1000, 24
SIDE, NUM_DEEP = 1024, 60  # of the images that are written in several formats
FORMATS = {
    "JPEG, 8 bits": None,
    "PNG, 12 bits": None,
    "DICOM, not compressed": uid.ExplicitVRLittleEndian,
    "DICOM, RLE": uid.RLELossless,
    "DICOM, JPEG-LS": uid.JPEGLSLossless,
    "DICOM, JPEG lossless": uid.JPEGLosslessSV1,
    "DICOM, JPEG 2000": uid.JPEG2000Lossless,
}


def plain_decode(folder: Path, size: int) -> Work:
    """Prepare what a Dataset class does in a notebook: open, convert to grey, resize."""
    files = sorted(folder.rglob("*.jpeg"))

    def everything() -> float:
        for file in files:
            with Image.open(file) as image:
                image.convert("RGB").convert("L").resize((size, size))
        return len(files)

    return everything


def build_store(folder: Path, size: int) -> Work:
    """Prepare the building of a store in an empty cache."""
    config = compose_run("data=folder", f"data.root={folder}", f"data.image_size={size}").data
    source = open_source(config)

    def everything() -> float:
        with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
            return len(open_store(source, size, Path(cache), Reporter()).images)

    return everything


def lay_out(folder: Path, num_images: int) -> str:
    """Put JPEG files into two class folders; return what they are."""
    if REAL.is_dir():
        for name in ("NORMAL", "PNEUMONIA"):
            (folder / name).mkdir(parents=True)
            for file in sorted((REAL / name).iterdir())[: num_images // 2]:
                shutil.copy(file, folder / name)
        return f"chest X-rays of Kermany et al., doi:10.17632/rscbjbr9sj.2, {num_images} of them, JPEG 224x224"
    source = PhantomSource(num_images)
    listing = source.scan()
    for index, record in enumerate(listing.records):
        place = folder / listing.class_names[record.label] / f"{index}.jpeg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.load(index).decoded.values).resize((224, 224)).convert("RGB").save(place, quality=75)
    return f"synthetic phantom data, {num_images} JPEG files of 224x224"


def write_format(folder: Path, name: str, num_images: int, side: int) -> Path:
    """Write synthetic images of 12 bits, or 8 as JPEG, into two class folders."""
    for number in range(num_images):
        values = np.rint(drawn(number, number % 2, side) * 4095).astype(np.uint16)
        path = folder / ("NORMAL", "PNEUMONIA")[number % 2] / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if (syntax := FORMATS[name]) is not None:
            path.write_bytes(make(values, syntax=syntax, WindowCenter=2048, WindowWidth=3000))
        elif name.startswith("PNG"):
            Image.fromarray(values).save(path.with_suffix(".png"))
        else:
            Image.fromarray((values >> 4).astype(np.uint8)).save(path.with_suffix(".jpeg"), quality=90)
    return folder


def measure_formats(options: Options, temporary: Path) -> Result:
    """Measure one image in each format, from its file to the store."""
    side, num_images, size = (96, NUM_QUICK, 32) if options.quick else (SIDE, NUM_DEEP, 640)
    folders = {name: write_format(temporary / str(n), name, num_images, side) for n, name in enumerate(FORMATS)}
    figures = compare([Contestant(name, build_store, (path, size)) for name, path in folders.items()], options.rounds)
    described = f"synthetic images of {side}x{side}, {num_images} in each format, into a store of {size}x{size}"
    rates = {one.name: 1 / one.wall for one in figures}
    return Result("decoding_formats", "one image", described, figures, {"images_per_second": rates})


def measure(options: Options) -> list[Result]:
    """Measure one image."""
    size, num_images = (32, NUM_QUICK) if options.quick else (640, NUM_IMAGES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        described = lay_out(folder, num_images)
        ways = [
            Contestant("Pillow: open, convert, resize", plain_decode, (folder, size)),
            Contestant("store: digest, decode, resize, write", build_store, (folder, size)),
        ]
        figures = compare(ways, options.rounds)
        rates = {one.name: 1 / one.wall for one in figures}
        jpeg = Result("decoding", f"one image to {size}x{size}", described, figures, {"images_per_second": rates})
        return [jpeg, measure_formats(options, Path(temporary) / "formats")]


if __name__ == "__main__":
    start(measure)

"""Images that runs get wrong are shown while a store has them, and the report works without one."""

import shutil
from pathlib import Path

import pytest

from cxr_runner import cli
from cxr_runner.api import run

TRAINED = [
    "model=linear",
    "seeds=2",
    "data.num_images=80",
    "data.image_size=32",
    "epochs=1",
    "progress=none",
    "plots=never",
]


@pytest.mark.usefixtures("quick_pictures")
def test_images_are_shown_with_a_store_and_never_where_they_are_withheld(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE", str(elsewhere / "cache"))
    run(TRAINED)

    def page(*flags: str) -> str:
        monkeypatch.setattr("sys.argv", ["cxr-report", "outputs", *flags])
        with pytest.raises(SystemExit) as ending:
            cli.report()
        assert ending.value.code == 0
        return (elsewhere / "outputs" / "report" / "index.html").read_text("utf-8")

    shown, withheld = page(), page("--no-images")
    assert "Images that runs get wrong" in shown
    assert shown.count("data:image/jpeg") > 0
    assert "32 px, as in its source" in shown or "32 px, reduced from " in shown
    said = "None is shown: images were left out of this report on request (--no-images)."
    assert "data:image/jpeg" not in withheld
    assert said in withheld
    shutil.rmtree(elsewhere / "cache")
    gone, withheld = page(), page("--no-images")
    assert "The store of these images is gone, so that none is shown." in gone
    assert "data:image/jpeg" not in gone + withheld
    assert said in withheld

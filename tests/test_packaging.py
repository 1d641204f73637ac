import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

CHECKOUT = Path(__file__).parents[1]
CONF = CHECKOUT / "conf"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the sdist from a copy of the sources, without a network."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("src", "conf", "tests"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, source]
    subprocess.run(command, check=True)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of an environment with the wheel and this environment's dependencies, but not its checkout."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True)
    # Of a folder that is named in a .pth file, the .pth files are not read: the editable install stays out.
    site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site_packages / "dependencies.pth").write_text("\n".join(dependencies))
    return environment / "bin"


def test_the_wheel_holds_the_package_its_configuration_and_its_licence(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    expected = {f"cxr_runner/{path.relative_to(CHECKOUT / 'src' / 'cxr_runner')}" for path in _files("src/cxr_runner")}
    expected |= {f"cxr_runner/conf/{path.relative_to(CONF)}" for path in _files("conf")}
    expected |= {f"hydra_plugins/{path.name}" for path in _files("src/hydra_plugins")}
    metadata = {name for name in names if name.startswith("cxr_runner-")}
    assert set(names) - metadata == expected
    assert {"cxr_runner/py.typed", "cxr_runner/conf/config.yaml", "cxr_runner/conf/model/cnn.yaml"} < expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in metadata)


def _files(folder: str) -> list[Path]:
    return [path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def test_one_version_stands_everywhere(wheel: Path) -> None:
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert wheel.name.startswith(f"cxr_runner-{version}-")
    assert f"\nversion: {version}\n" in (CHECKOUT / "CITATION.cff").read_text("utf-8")
    sections = re.findall(r"^## \[(.*?)\]", (CHECKOUT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[:2] == ["Unreleased", version]


def test_the_installed_package_is_the_wheel_s(installed: Path, tmp_path: Path) -> None:
    code = "import cxr_runner, cxr_runner.conf as conf; print(cxr_runner.__file__, conf.__file__, sep='\\n')"
    for file in _run(tmp_path, installed / "python", "-c", code).splitlines():
        assert Path(file).is_relative_to(installed.parent)


def test_the_installed_command_shows_its_configuration_anywhere(installed: Path, tmp_path: Path) -> None:
    shown = yaml.safe_load(_run(tmp_path, installed / "cxr-run", "--cfg", "job", "model=cnn"))
    assert shown["model"] == yaml.safe_load((CONF / "model" / "cnn.yaml").read_text("utf-8"))
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_trains_anywhere(installed: Path, tmp_path: Path) -> None:
    tiny = ("data.num_images=40", "data.image_size=16", "epochs=1")
    out = _run(tmp_path, installed / "cxr-run", "model=cnn", "optimizer=sgd", "loss.pos_weight=0.37", *tiny)
    (metrics,) = tmp_path.glob("outputs/runs/cnn-*/seed=0/metrics.json")
    assert str(metrics.parent) in out
    assert '"git_commit": null' in metrics.read_text("utf-8")


@pytest.mark.long
def test_the_wheel_is_a_tool_whose_commands_work_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    commands, folder = tmp_path / "bin", tmp_path / "elsewhere"
    folder.mkdir()
    _install_as_tool(wheel, tmp_path / "tools", commands)
    assert {path.name for path in commands.iterdir()} == {"cxr-run", "cxr-report", "cxr-data", "cxr-study", "cxr-model"}
    tiny = ("data.num_images=60", "data.image_size=16")
    assert "fingerprint" in _run(folder, commands / "cxr-data", "describe", *tiny)
    out = _run(folder, commands / "cxr-run", "-m", "model=linear,linear_relu", "seeds=2", "epochs=2", *tiny)
    assert "linear + ReLU" in out
    _run(folder, commands / "cxr-report")
    assert "linear + ReLU" in (folder / "outputs" / "report" / "index.html").read_text("utf-8")
    assert [path.name for path in folder.iterdir()] == ["outputs"]


def _install_as_tool(wheel: Path, tools: Path, commands: Path) -> None:
    """Install with ``uv tool install`` and the versions of ``constraints.txt``; from its cache where that suffices."""
    if (uv := shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")) is None:
        pytest.skip("uv is not installed")
    command = [uv, "tool", "install", "--python", sys.executable, "--constraints", CHECKOUT / "constraints.txt", wheel]
    environment = os.environ | {"UV_TOOL_DIR": str(tools), "UV_TOOL_BIN_DIR": str(commands)}
    for options in (["--offline"], []):
        answer = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=1800)
        if answer.returncode == 0:
            return
    pytest.fail(answer.stderr)


def _run(folder: Path, *command: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout

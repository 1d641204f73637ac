import ast
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import cxr_runner.__init__
from cxr_runner.config.validation import KEYS

SOURCE = Path(cxr_runner.__file__).parent
CONF = Path(__file__).parents[1] / "conf"

# The house: each room imports from rooms on lower floors, never from its own floor or above.
FLOORS = (
    {"", "cli", "api"},
    {"commands"},
    {"experiment", "report", "audit", "inference"},
    {"training", "plots"},
    {"data", "models", "study"},
    {"config", "artifacts"},
    {"stats", "base"},
)
NEVER = {("report", "training"), ("report", "models")}  # though these are lower: a report starts without torch
LIGHT = {"report", "plots", "study", "artifacts", "stats", "config", "base"}  # never import torch
MOST_ROOMS = 17
LONGEST_CHAIN = 16  # of imports, each of which needs the next

HYDRA = {"hydra", "omegaconf"}
TORCH = {"torch", "torchvision", "safetensors.torch"}
HUB = {"datasets", "huggingface_hub", "pyarrow"}
LONGEST_MODULE, LONGEST_FUNCTION = 300, 55


class Import(NamedTuple):
    """What is imported, in dotted form, and whether that waits until a function is called."""

    name: str
    lazy: bool

    def belongs_to(self, packages: set[str]) -> bool:
        return any(f"{self.name}.".startswith(f"{package}.") for package in packages)


def modules() -> dict[str, ast.Module]:
    """Return the package's modules by their name below it, e.g. ``sources.hub``; its own ``__init__`` is ''."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text("utf-8"))
    return found


def imports(node: ast.AST, lazy: bool = False) -> Iterator[Import]:
    """Yield every import that can happen when the program runs, those for type checkers left out."""
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, lazy) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports in this package are absolute"
        assert node.module is not None
        yield from (Import(f"{node.module}.{alias.name}", lazy) for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        yield from (found for child in node.orelse for found in imports(child, lazy))
        return
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from imports(child, lazy)


MODULES = modules()
IMPORTS = {name: set(imports(tree)) for name, tree in MODULES.items()}


def inside(imported: Import) -> set[str]:
    """Return the package's own modules that an import runs: the one it names and the packages around it."""
    parts = imported.name.removeprefix("cxr_runner.").split(".")
    prefixes = {".".join(parts[:length]) for length in range(len(parts) + 1)}
    return prefixes & MODULES.keys() if imported.belongs_to({"cxr_runner"}) else set()


def reachable(module: str) -> set[str]:
    """Return a module and all modules of the package that it can ever import, at once or later."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        # What the package itself offers is imported when it is asked for by name, which no module here does.
        followed = [imported for imported in IMPORTS[name] if name or not imported.lazy]
        waiting |= {other for imported in followed for other in inside(imported)} - found
    return found


def room(module: str) -> str:
    return module.split(".")[0]


def own_imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, at once or later, without the packages around them."""
    found = set()
    for imported in IMPORTS[module]:
        name = imported.name.removeprefix("cxr_runner.")
        if imported.belongs_to({"cxr_runner"}) and not imported.belongs_to({"cxr_runner.conf"}):
            found.add(name if name in MODULES else name.rpartition(".")[0])
    return found - {module}


OWN_IMPORTS = {module: own_imports(module) for module in MODULES}


def test_the_house_has_few_rooms_each_on_one_floor_and_each_says_what_it_is_for() -> None:
    rooms = {room(module) for module in MODULES}
    assert len(rooms) <= MOST_ROOMS
    assert sorted(rooms) == sorted(name for floor in FLOORS for name in floor)
    for module, tree in MODULES.items():
        assert ast.get_docstring(tree), f"{module or 'cxr_runner'} does not say what it is for"


def test_rooms_import_downwards_only() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    arrows = {(room(module), room(other)) for module, others in OWN_IMPORTS.items() for other in others}
    upwards = {(one, other) for one, other in arrows if one != other and floor[other] <= floor[one]}
    assert upwards - {("", "api")} == set()
    assert arrows & NEVER == set()


def test_no_files_or_folders_import_each_other_in_a_circle() -> None:
    def circle(arrows: dict[str, set[str]]) -> set[str]:
        left = dict(arrows)
        while ready := {name for name, needed in left.items() if not needed & left.keys()}:
            left = {name: needed for name, needed in left.items() if name not in ready}
        return set(left)

    assert circle(OWN_IMPORTS) == set()
    for folder in {module.rpartition(".")[0] for module in MODULES}:  # files and folders that stand side by side
        inside = {module for module in MODULES if module.startswith(f"{folder}." if folder else "")}

        def beside(module: str, folder: str = folder) -> str:
            return module.removeprefix(f"{folder}." if folder else "").split(".")[0]

        arrows: dict[str, set[str]] = {}
        for module in inside - {folder}:
            others = {beside(other) for other in OWN_IMPORTS[module] & inside - {folder}}
            arrows.setdefault(beside(module), set()).update(others - {beside(module)})
        assert circle(arrows) == set(), folder


def test_no_two_modules_and_no_two_public_names_are_alike() -> None:
    stems = Counter(module.rpartition(".")[2] for module, tree in MODULES.items() if not is_package(module))
    assert {stem: number for stem, number in stems.items() if number > 1} == {}
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = Counter(
        node.name
        for module, tree in MODULES.items()
        for node in tree.body
        if isinstance(node, kinds) and not node.name.startswith("_") and module not in ("cli", "api")
    )
    assert {name: number for name, number in names.items() if number > 1} == {}


def is_package(module: str) -> bool:
    return (SOURCE / Path(*module.split("."))).is_dir()


def test_the_longest_chain_of_imports_does_not_grow() -> None:
    @cache
    def length(module: str) -> int:
        return 1 + max((length(other) for other in OWN_IMPORTS[module]), default=0)

    assert max(map(length, MODULES)) <= LONGEST_CHAIN


def test_comparing_and_rendering_a_report_import_no_reader_of_runs() -> None:
    readers = {"regular", "read_json", "read_yaml", "read_run", "find_runs", "find_run_dirs", "RunDir", "Run"}
    for module in (name for name in MODULES if name.startswith(("report.compare", "report.render"))):
        assert {other for other in OWN_IMPORTS[module] if other.startswith("report.collect.")} == set(), module
        assert {imported.name.rpartition(".")[2] for imported in IMPORTS[module]} & readers == set(), module


def test_the_study_is_loaded_where_a_command_or_a_call_begins_and_handed_down() -> None:
    loaders = {name for name, found in IMPORTS.items() if any(one.name.endswith(".load_study") for one in found)}
    assert loaders == {"study", "api", "report.write", "report.sweep_report", "commands.report", "study.row_values"}


def test_one_module_of_the_report_writes_commands() -> None:
    writers = {name for name, found in IMPORTS.items() if any(one.belongs_to({"shlex"}) for one in found)}
    assert {name for name in writers if room(name) == "report"} == {"report.render.commands"}


def test_only_the_configuration_imports_hydra() -> None:
    users = {name for name, found in IMPORTS.items() if any(imported.belongs_to(HYDRA) for imported in found)}
    assert {room(name) for name in users} == {"config"}


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_light_rooms_can_never_import_torch(name: str) -> None:
    for module in (module for module in MODULES if room(module) == name):
        users = {other for other in reachable(module) if any(found.belongs_to(TORCH) for found in IMPORTS[other])}
        assert users == set(), module


def test_the_entry_points_import_nothing_heavy_before_there_is_work() -> None:
    eager = {imported.name for imported in IMPORTS["cli"] if not imported.lazy}
    assert {name.split(".")[0] for name in eager} <= {*sys.stdlib_module_names, "cxr_runner"}
    assert {room(name.removeprefix("cxr_runner.")) for name in eager if name.startswith("cxr_runner.")} == {"base"}


def test_only_sources_and_cards_import_the_libraries_of_the_hub_and_only_when_they_are_used() -> None:
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(HUB)}
    assert {name.rpartition(".")[0] for name, _ in uses} == {"data.sources", "data.sources.table", "inference.card"}
    assert [use for use in uses if not use[1].lazy] == []


def test_only_folds_and_the_quality_of_data_need_scikit_learn_and_only_when_it_is_computed() -> None:
    libraries = {"sklearn", "imagehash"}
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(libraries)}
    assert {name.rpartition(".")[0] for name, _ in uses if name != "data.folds"} <= {"data.quality", "audit"}
    assert [use for use in uses if not use[1].lazy] == []


def test_only_the_reader_of_dicom_files_needs_pydicom_and_only_when_there_are_some() -> None:
    libraries = {"pydicom", "gdcm"}
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(libraries)}
    assert {name for name, _ in uses} == {"data.dicom.dicom_pixels"}
    assert [use for use in uses if not use[1].lazy] == []


def test_only_searches_need_optuna_and_only_when_there_is_one() -> None:
    uses = {(name, found) for name, some in IMPORTS.items() for found in some if found.belongs_to({"optuna"})}
    assert {name.rpartition(".")[0] for name, _ in uses} == {"experiment.search"}
    assert [use for use in uses if not use[1].lazy] == []


def test_only_the_trackers_need_their_libraries_and_only_when_runs_are_sent_to_them() -> None:
    libraries = {"mlflow", "sqlalchemy", "tensorboard"}
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(libraries)}
    assert {name for name, _ in uses} == {"report.trackers.mlflow_runs", "report.trackers.tensorboard_runs"}
    assert [use for use in uses if not use[1].lazy] == []


def test_sources_know_nothing_of_stores_and_training() -> None:
    known = {name for module in MODULES if module.startswith("data.sources.") for name in reachable(module)}
    beyond = {name for name in known if not name.startswith("data.sources")}
    assert {name for name in beyond if room(name) not in ("config", "base")} <= {
        "",
        "data",
        "data.decode",
        "data.dicom",
        "data.dicom.dicom_file",
        "data.dicom.dicom_header",
        "data.dicom.dicom_pixels",
        "data.dicom.dicom_process",
        "data.extras",
        "data.dicom.salt",
        "data.dicom.windows",
    }


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_and_functions_stay_short(module: str) -> None:
    tree = MODULES[module]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {function.name: function.end_lineno - function.lineno + 1 for function in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}
    assert max((node.end_lineno for node in tree.body), default=0) <= LONGEST_MODULE


def keys(values: dict[str, object], prefix: str = "") -> set[str]:
    found = set()
    for name, value in values.items():
        found |= {prefix + name} | (keys(value, f"{prefix}{name}.") if isinstance(value, dict) else set())
    return found


def test_the_configuration_files_set_every_key_of_the_schema_and_no_other() -> None:
    found = set()
    for path in CONF.rglob("*.yaml"):
        group = path.parent.relative_to(CONF).as_posix()
        if group in ("data", "model", "optimizer"):
            found |= {group} | keys(yaml.safe_load(path.read_text("utf-8")), f"{group}.")
    found.discard("data.defaults")  # a preset names the choice that it fills in
    top = yaml.safe_load((CONF / "config.yaml").read_text("utf-8"))
    found |= keys({name: value for name, value in top.items() if name not in ("defaults", "hydra")})
    assert found == KEYS

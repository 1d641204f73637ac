import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import cxr_runner
from cxr_runner.config import KEYS

SOURCE = Path(cxr_runner.__file__).parent
CONF = Path(__file__).parents[1] / "conf"

HYDRA = {"hydra", "omegaconf"}
MAY_USE_HYDRA = {"cli", "complaints", "composition", "config"}
TORCH = {"torch", "torchvision", "safetensors.torch"}
WITHOUT_TORCH = {
    *("artifacts", "audit.writer", "claims.figure", "claims.verdicts", "config", "description", "figures"),
    *("report.writer", "runs", "samples", "stats", "summary"),
    *("study", "study.consequences", "study.errata", "study.errata_figures", "study.figures", "study.slips"),
}
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
        waiting |= {other for imported in IMPORTS[name] for other in inside(imported)} - found
    return found


def test_only_the_rooms_of_configuration_import_hydra() -> None:
    users = {name for name, found in IMPORTS.items() if any(imported.belongs_to(HYDRA) for imported in found)}
    assert users <= MAY_USE_HYDRA
    assert {"cli", "config"} <= users


@pytest.mark.parametrize("module", sorted(WITHOUT_TORCH))
def test_rooms_without_torch_can_never_import_it(module: str) -> None:
    users = {name for name in reachable(module) if any(imported.belongs_to(TORCH) for imported in IMPORTS[name])}
    assert users == set()


def test_the_entry_points_import_nothing_heavy_before_there_is_work() -> None:
    eager = {imported.name for imported in IMPORTS["cli"] if not imported.lazy}
    assert {name.split(".")[0] for name in eager} <= {*sys.stdlib_module_names, "cxr_runner"}
    assert {name for name in eager if name.startswith("cxr_runner.")} == {
        "cxr_runner.errors.RunFailedError",
        "cxr_runner.errors.UserError",
        "cxr_runner.errors.print_error",
        "cxr_runner.interruption.end_in_order",
    }


def test_only_sources_import_the_libraries_of_the_hub_and_only_when_they_are_used() -> None:
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(HUB)}
    assert {name.split(".")[0] for name, _ in uses} == {"sources"}
    assert [use for use in uses if not use[1].lazy] == []


def test_only_the_audit_imports_scikit_learn_and_only_when_it_computes() -> None:
    libraries = {"sklearn", "imagehash"}
    uses = {(name, imported) for name, found in IMPORTS.items() for imported in found if imported.belongs_to(libraries)}
    assert {name.split(".")[0] for name, _ in uses} == {"audit"}
    assert [use for use in uses if not use[1].lazy] == []
    assert not any(name.startswith("audit") for name in reachable("report.writer"))


def test_sources_know_nothing_of_stores_and_training() -> None:
    known = {name for module in MODULES if module.startswith("sources") for name in reachable(module)}
    assert {name for name in known if not name.startswith("sources")} <= {"", "decode", "errors", "markdown"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    def eager(module: str) -> set[str]:
        found = {other for imported in IMPORTS[module] if not imported.lazy for other in inside(imported)}
        return {other for other in found if not f"{module}.".startswith(f"{other}.")}  # packages around it run already

    left = {module: eager(module) for module in MODULES}
    while ready := {module for module, needed in left.items() if not needed}:
        left = {module: needed - ready for module, needed in left.items() if module not in ready}
    assert left == {}


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
    top = yaml.safe_load((CONF / "config.yaml").read_text("utf-8"))
    found |= keys({name: value for name, value in top.items() if name not in ("defaults", "hydra")})
    assert found == KEYS

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from support.tiny_model import draw_photo
from support.written_run import write_run

HEAVY = (
    "ray",
    "pyarrow",
    "fsspec",
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "accelerate",
    "safetensors",
    "matplotlib",
    "jinja2",
    "tensorrt_rtx_bindings",
)


ROOT = Path(__file__).parents[1]
FOLDERS = {"maskinfer": "maskinfer", "maskinfer.train": "train", "maskinfer.export": "export"}

# From the ground up: a name may import itself and what stands in the lines above it.
LAYERS = (
    ("errors", "version"),
    ("records", "text", "threads"),
    ("files",),
    ("data",),
    ("importers", "runtime"),
    ("inference",),
    ("evaluation",),
    ("curation",),
    ("report",),
    ("train",),
    ("export",),
    ("cli",),
    ("__main__",),
)


def find_modules() -> dict[str, Path]:
    """All modules of the product by their names, but for `maskinfer` itself, the public door."""
    modules = {}
    for package, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            modules[".".join([package, *(part for part in parts if part != "__init__")])] = path
    del modules["maskinfer"]
    return modules


MODULES = find_modules()


def imported_modules(module: str, tree: ast.Module) -> set[str]:
    """Which modules of the product one imports, at its top or inside its functions."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            # A name that is imported may be a module itself.
            imported |= {
                named if (named := f"{source}.{alias.name}") in MODULES else source
                for alias in node.names
            }
    return {name for name in imported if name in MODULES}


def is_backwards(module: str, imported: str) -> bool:
    """Whether one module may not import another by the order of their layers."""
    name, other = module.split(".")[1], imported.split(".")[1]
    return name != other and layer_of(other) >= layer_of(name)


def layer_of(name: str) -> int:
    """The place of a layer, from the ground up."""
    (place,) = (place for place, names in enumerate(LAYERS) if name in names)
    return place


def loaded_by(arguments: list[str]) -> set[str]:
    """Which of the heavy packages a command loads."""
    code = (
        "import sys, contextlib\n"
        "from maskinfer.cli import main\n"
        f"sys.argv = {['maskinfer', *arguments]!r}\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        f"print('loaded:', *({set(HEAVY)!r} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["predict", "--help"], ["train", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded_by(arguments) == set()


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_inference_loads_nothing_heavy(tmp_path: Path, tiny_model: Path, command: str) -> None:
    draw_photo().save(tmp_path / "1__[16, 8, 24, 32]__True.png")
    out = ["--out", str(tmp_path / "p.csv")] if command == "predict" else []
    assert loaded_by([command, str(tmp_path), *out, "--model", str(tiny_model)]) == set()
    assert command == "evaluate" or (tmp_path / "p.csv").exists()


def test_looking_at_runs_needs_no_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    loaded = loaded_by(["report", str(run), "--out", str(tmp_path / "report")])
    assert loaded == {"jinja2", "matplotlib"}
    assert (tmp_path / "report" / "report.html").exists()


def test_only_the_runtime_imports_onnxruntime() -> None:
    importers = [
        module
        for module, path in MODULES.items()
        if "import onnxruntime" in path.read_text() or "from onnxruntime" in path.read_text()
    ]
    assert importers == ["maskinfer.runtime.onnx_runtime", "maskinfer.export.int8"]


def test_layers_import_in_one_direction_only() -> None:
    backwards = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imported_modules(module, ast.parse(path.read_text()))
        if is_backwards(module, imported)
    ]
    assert backwards == []


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {
        module: imported_modules(module, ast.parse(path.read_text())) - {module}
        for module, path in MODULES.items()
    }
    # Raises a CycleError that names the circle.
    assert set(TopologicalSorter(graph).static_order()) >= set(MODULES)


def test_no_folder_grows_past_an_overview() -> None:
    folders = Counter(path.parent for path in MODULES.values())
    assert {folder: count for folder, count in folders.items() if count > 18} == {}


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("maskinfer.data.boxes", "from maskinfer.inference.results import Row"),
        ("maskinfer.data.boxes", "def f():\n    from maskinfer.cli import main"),
        ("maskinfer.runtime.gpu", "from maskinfer.importers import voc"),
        ("maskinfer.report.folder", "import maskinfer.train.settings"),
        ("maskinfer.data.boxes", "from ..inference import results"),
    ],
)
def test_a_planted_import_against_the_order_is_seen(module: str, statement: str) -> None:
    (imported,) = imported_modules(module, ast.parse(statement))
    assert is_backwards(module, imported)

"""The shape of the code itself, read with `ast`: who imports whom, and no pickle."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = sorted((ROOT / "pixelcnn").rglob("*.py"))
SCREEN = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


@cache
def tree_of(path):
    return ast.parse(path.read_text())


@cache
def imported(path):
    """Full names of all modules that a file imports, at any depth."""
    package = path.relative_to(ROOT).parts[:-1]
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def top_level(names):
    return {name.split(".")[0] for name in names}


def part(path):
    """`sampling` for pixelcnn/sampling/rules.py, `models` for pixelcnn/models.py."""
    return path.relative_to(ROOT / "pixelcnn").parts[0].removesuffix(".py")


def test_only_the_screen_imports_streamlit():
    for path in LIBRARY:
        if part(path) != "ui":
            assert "streamlit" not in top_level(imported(path)), path
            assert not any(name.startswith("pixelcnn.ui") for name in imported(path)), path


@pytest.mark.parametrize(
    "name",
    [f"browser/{name}" for name in ("messages", "wire")]
    + [f"generate/{name}" for name in ("drawing", "exports")]
    + [f"shared/{name}" for name in ("history", "jobs", "sketch")]
    + [f"shared/charts/{name}" for name in ("classes", "curves", "distributions", "measured")]
    + [f"train/{name}" for name in ("estimate", "presets", "words")],
)
def test_what_the_player_is_fed_with_knows_no_streamlit(name):
    assert "streamlit" not in top_level(imported(ROOT / "pixelcnn" / "ui" / f"{name}.py"))


def floors(graph):
    """Stack rooms so that each imports only from below; raises CycleError on a climb."""
    sorter, stacked = TopologicalSorter(graph), []
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        stacked.append(sorted(ready))
        sorter.done(*ready)
    return stacked


def imports_between(name_of):
    """Collect who imports whom, under the names that `name_of` gives to modules."""
    graph = {}
    for path in LIBRARY:
        if path == ROOT / "pixelcnn" / "__init__.py":
            continue  # the front door names modules of every floor, and imports none
        own = name_of(path)
        for name in imported(path):
            parts = name.split(".")
            file = ROOT.joinpath(*parts).with_suffix(".py")
            file = file if file.exists() else ROOT.joinpath(*parts, "__init__.py")
            if parts[0] == "pixelcnn" and len(parts) > 1 and file.exists():
                graph.setdefault(own, set()).add(name_of(file))
    return {own: others - {own} for own, others in graph.items()}


def test_imports_of_rooms_point_downwards():
    stacked = floors(imports_between(part))
    floor = {room: number for number, rooms in enumerate(stacked) for room in rooms}
    assert floor["models"] < floor["sampling"] < floor["completion"] < floor["ui"]
    assert floor["models"] < floor["inspection"] and floor["evaluation"] < floor["training"]
    assert stacked[-1] == ["ui"] or "ui" in stacked[-1] + stacked[-2]


def test_no_module_imports_itself_by_a_detour():
    floors(imports_between(lambda path: path.relative_to(ROOT)))


def test_no_package_of_a_page_imports_that_of_another():
    def room(path):
        parts = path.relative_to(ROOT / "pixelcnn").parts
        return parts[1] if parts[0] == "ui" and len(parts) > 2 else ""

    graph = imports_between(room)
    house = {"", "browser", "shared"}
    assert graph["shared"] <= house and graph["browser"] <= {""}
    assert all(others <= house for others in graph.values())


@pytest.mark.parametrize("name", ["engine", "scoring"])
def test_the_training_engine_knows_no_files(name):
    names = imported(ROOT / "pixelcnn" / "training" / f"{name}.py")
    assert not top_level(names) & {"os", "pathlib", "json", "safetensors", "tempfile"}
    assert not any(n.startswith("pixelcnn.storage") for n in names)


def test_pages_never_import_pages():
    for path in SCREEN:
        assert not top_level(imported(path)) & {"pages", "app"}, path


def test_nothing_is_pickled():
    pickles = {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
    for path in (*LIBRARY, *SCREEN):
        assert not top_level(imported(path)) & pickles, path
        nodes = list(ast.walk(tree_of(path)))
        calls = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        assert not calls & {"torch.load", "torch.save", "eval", "exec"}, path
        for node in nodes:
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path


def test_import_of_the_package_is_quick_and_its_names_exist():
    import pixelcnn

    assert not [name for name in pixelcnn.__all__ if not hasattr(pixelcnn, name)]
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = pixelcnn.absent
    names = imported(ROOT / "pixelcnn" / "__init__.py")
    assert not top_level(names) & {"torch", "numpy", "streamlit"}

"""The documentation says what the code does."""

import ast
import importlib
import inspect
import json
import re
import shutil
import sys

import click
import numpy as np
import pytest

import hecli
from hecli.cli.main import COMMANDS, cli, run
from tests.support import HERE, SAMPLES

ROOT = HERE.parent


@pytest.fixture
def makers(monkeypatch):
    """What `make docs` runs."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return [importlib.import_module(name) for name in ("make_cli", "make_man", "make_python")]


def test_what_is_generated_is_up_to_date(makers):
    make_cli, make_man, make_python = makers
    assert (ROOT / "docs" / "cli.md").read_text() == make_cli.page(), "run make docs"
    assert (ROOT / "docs" / "python.md").read_text() == make_python.page(), "run make docs"
    there = {path.name: path.read_text() for path in make_man.FOLDER.iterdir()}
    assert there == make_man.pages(), "run make docs"


def test_all_that_is_public_is_on_the_page_of_python(makers):
    *_, make_python = makers
    grouped = [name for names in make_python.GROUPS.values() for name in names]
    assert sorted([*grouped, "__version__"]) == sorted(hecli.__all__)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_summed_up_by_its_first_line(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.help.splitlines()[0] == COMMANDS[name]
    explained(command, f"hecli {name}")
    for inner in getattr(command, "commands", {}).values():
        explained(inner, f"hecli {name} {inner.name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns(name):
    command = cli.get_command(click.Context(cli), name)
    for each, words in [(command, f"hecli {name}")] + [
        (inner, f"hecli {name} {inner.name}") for inner in getattr(command, "commands", {}).values()
    ]:
        text = each.get_help(click.Context(each, info_name=words, terminal_width=80))
        assert max(map(len, text.splitlines())) <= 80


def explained(command, words):
    # With an example, for short help is for those who know already.
    assert words in command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{words} {parameter.name} is not explained"


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_readme_s_python_runs(tmp_path, monkeypatch):
    for path in SAMPLES.glob("*.npz"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    found = blocks((ROOT / "README.md").read_text(), "python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "model.next.npz").exists()


def test_the_package_s_own_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    updates = {party: {"w": np.full(3, value, np.float32)} for party, value in (("a", 1), ("b", 2))}
    example = re.search(r"\n\n((?:    .*\n|\n)+)", hecli.__doc__).group(1)
    exec(re.sub(r"^    ", "", example, flags=re.MULTILINE), found := {"updates": updates})
    assert found["mean"]["w"].tolist() == [1.5] * 3


def test_everything_public_is_there_and_explained():
    for name in set(hecli.__all__) - {"__version__"}:
        value = getattr(hecli, name)
        text = value.__doc__
        assert text, name
        parameters = (
            []
            if inspect.isclass(value) and issubclass(value, Exception)
            else inspect.signature(value).parameters
        )
        for parameter in parameters:
            assert re.search(rf"^ +{parameter}: ", text, re.MULTILINE), f"{name} does not explain {parameter}"
    with pytest.raises(AttributeError, match="nonsense"):
        hecli.nonsense  # noqa: B018


MODULES = sorted(path for path in (ROOT / "hecli").rglob("*.py") if path.parent.name != "cli")
IMPLEMENTATIONS = (
    "gmp/comb.py",
    "gmp/kernels.py",
    "native/kernels.py",
    "codec/quantise.py",
    "compare/command.py",
    "compare/learning.py",
    "measuring/hiding.py",
    "storage/below.py",
    "storage/cloud.py",
    "storage/places.py",
    "storage/ranges.py",
    "storage/sftp.py",
    "storage/uploading.py",
    "storage/web.py",
    "codec/pack.py",
    "codec/rotate.py",
    "codec/sample.py",
    "codec/low_rank.py",
    "schemes/masks/scheme.py",
    "schemes/paillier/s",
    "schemes/plain/scheme.py",
    "schemes/ring.py",
    "local.py",
    "confined.py",
)
"""Where methods do what an interface explains."""


def public_parts(body, inside=None):
    """Every public class and function of a module or class, and the class it is in."""
    for each in body:
        if isinstance(each, ast.ClassDef | ast.FunctionDef) and not each.name.startswith("_"):
            yield each, inside
            if isinstance(each, ast.ClassDef):
                yield from public_parts(each.body, each)


def arguments(part):
    if isinstance(part, ast.FunctionDef):
        found = part.args.posonlyargs + part.args.args + part.args.kwonlyargs
        return [each.arg for each in found if each.arg not in ("self", "cls")]
    fields = [each for each in part.body if isinstance(each, ast.AnnAssign)]
    return [
        each.target.id
        for each in fields
        if "ClassVar" not in ast.unparse(each.annotation) and not each.target.id.startswith("_")
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_arguments_of_all_that_is_public_are_explained(path):
    for part, inside in public_parts(ast.parse(path.read_text()).body):
        text = ast.get_docstring(part) or ""
        implements = inside is not None and any(each in str(path) for each in IMPLEMENTATIONS)
        if implements and "Args:" not in text:
            continue
        for name in arguments(part):
            assert f"{name}: " in text, f"{part.name} does not explain {name}"


def test_the_version_is_the_same_everywhere():
    assert f'version = "{hecli.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f"## {hecli.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text())]
    assert links
    for page, link in links:
        assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_errors_import_nothing_of_hecli():
    """The bottom of the layers, which the linter's folders cannot tell from plan.py beside it."""
    assert "import" not in (ROOT / "hecli" / "errors.py").read_text()


def test_the_tests_that_the_security_page_names_are_there():
    """Each "cannot" has one that tries it; none may be renamed or lost."""
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`((?:tests/)?[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 40
    for file, test in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "attacks" / file
        assert f"def {test}(" in path.read_text(), f"{file} has no {test}"
    for attacks in (ROOT / "tests" / "attacks").glob("test_*.py"):
        assert f"`{attacks.name}::" in page, f"{attacks.name} is not on the page"


RECIPES = {
    "NumPy": ("numpy", "model.npz", "npz"),
    "scikit-learn": ("sklearn", "model.npz", "npz"),
    "PyTorch": ("torch", "model.pt", "torch"),
}


def hecli_run(*words):
    """The exit status of a command."""
    return run([str(word) for word in words])


@pytest.mark.parametrize("title", RECIPES)
def test_the_recipes_train(title, tmp_path, monkeypatch, capsys):
    module, model, form = RECIPES[title]
    pytest.importorskip(module)
    section = (ROOT / "docs" / "training.md").read_text().split(f"\n### {title}\n")[1].split("\n##")[0]
    first, train = blocks(section, "python")
    assert len(train.splitlines()) < 30
    monkeypatch.chdir(tmp_path)
    exec(compile(first, "docs/training.md", "exec"), {})
    (tmp_path / "train.py").write_text(train)
    begun = ("--make-identities", "people", "--parties", 2, "--rounds", 3)
    measured = ("--max-weight", 500, "--metric", "loss=10", "--minimize", "loss")
    assert hecli_run("start", "shared", "--model", model, *begun, *measured, "--json") == 0
    accept = json.loads(capsys.readouterr().out)["digest"]
    commands = [("--identity", "people/coordinator.id", "--format", form)]
    for party in (1, 2):
        data = SAMPLES / f"party-{party}.data.npz"
        trained = ("--train", f"{sys.executable} train.py {data}", "--format", form, "--accept", accept)
        commands.append(("--identity", f"people/party-{party}.id", *trained))
    for _ in range(20):
        statuses = {hecli_run("run", "shared", *each, "--once", "-q") for each in commands}
        assert statuses <= {0, 3}, capsys.readouterr().err
        if statuses == {0}:
            break
    rounds = sorted((tmp_path / "people" / "coordinator.run").glob("round-*/applied.json"))
    losses = [json.loads(each.read_text())["metrics"]["loss"] for each in rounds]
    assert len(losses) == 3
    assert losses[0] > losses[1] > losses[2]

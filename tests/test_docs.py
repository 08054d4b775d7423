"""The documentation says what the code does."""

import importlib.util
import re
import shutil
from pathlib import Path

import click
import numpy as np
import pytest

import hecli
from hecli.cli.main import COMMANDS, cli
from tests.support import HERE, SAMPLES

ROOT = HERE.parent


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_of_commands_is_up_to_date():
    assert (ROOT / "docs" / "cli.md").read_text() == load(ROOT / "docs" / "make_cli.py").page(), (
        "run make docs"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_summed_up_by_its_first_line(name):
    command = cli.get_command(click.Context(cli), name)
    assert command.help.splitlines()[0] == COMMANDS[name]
    explained(command, f"hecli {name}")
    for inner in getattr(command, "commands", {}).values():
        explained(inner, f"hecli {name} {inner.name}")


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
    np.savez("grads.npz", w=np.ones(3, np.float32))
    example = re.search(r"\n\n((?:    .*\n|\n)+)", hecli.__doc__).group(1)
    exec(re.sub(r"^    ", "", example, flags=re.MULTILINE), {})
    assert Path("grads.enc").exists()


def test_everything_public_is_there_and_explained():
    assert set(hecli._HOMES) | {"__version__"} == set(hecli.__all__)
    for name in hecli._HOMES:
        assert getattr(hecli, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        hecli.nonsense  # noqa: B018


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

"""What shells are offered, asked as bash asks; and the manual pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, output, run

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    for name in ("1.0", "1.1", "latest"):
        store.image("team/app", name)
    store.image("team/app/tools", "latest")
    store.image("web", "2.0")
    return store.root


def offered(*words: str | Path) -> list[str]:
    """Ask as the script for bash does, for the last of the words."""
    environment = {
        **os.environ,
        "COMP_WORDS": " ".join(map(str, ("regfs", *words))),
        "COMP_CWORD": str(len(words)),
        "_REGFS_COMPLETE": "bash_complete",
    }
    done = subprocess.run(REGFS, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_repositories_tags_and_paths_are_offered_as_far_as_they_are_sure(root: Path) -> None:
    assert offered("history", root, "t") == ["team/"]
    assert offered("history", root, "team/") == ["team/app:", "team/app/"]
    assert offered("history", root, "team/app:1") == ["team/app:1.0 ", "team/app:1.1 "]
    assert offered("ls", root, "team/app/la") == ["team/app/latest/"]
    assert offered("cat", root, "web/2.0/m") == ["web/2.0/manifest.json "]


def test_columns_are_those_of_the_report(root: Path) -> None:
    assert offered("report", "tags", root, "--sort", "s") == ["size ", "shared "]
    assert offered("report", "repositories", root, "--columns", "tags,u") == [
        "tags,untagged ",
        "tags,uploads ",
        "tags,uploads_at_least ",
    ]


def test_nothing_is_offered_and_nothing_said_where_there_is_no_store(tmp_path: Path) -> None:
    assert offered("history", tmp_path, "t") == []


def test_bash_takes_the_script(root: Path) -> None:
    asked = f"""
        PATH={Path(sys.executable).parent}:$PATH
        eval "$(regfs completion bash)"
        COMP_WORDS=(regfs history {root} team/app:l) COMP_CWORD=3
        _regfs_completion regfs team/app:l {root}
        printf '%s|' "${{COMPREPLY[@]}}"
    """
    done = run("bash", "-c", asked)
    assert done.stdout == "team/app:latest |", (done.stdout, done.stderr)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell: str) -> None:
    assert "_REGFS_COMPLETE" in output(*REGFS, "completion", shell)


def test_every_command_has_a_manual_page(tmp_path: Path) -> None:
    output(*REGFS, "man", "--write", tmp_path)
    names = re.findall(
        r"^  ([a-z]+)  +[A-Z]", output(*REGFS, "--help").partition("Commands:")[2], re.MULTILINE
    )
    assert {page.name for page in tmp_path.iterdir()} == {"regfs.1", *(f"regfs-{name}.1" for name in names)}
    page = (tmp_path / "regfs-check.1").read_text()
    assert "\\-\\-by\\-tag" in page
    if shutil.which("man"):
        for file in tmp_path.iterdir():
            done = run("man", "--warnings", "-l", file)
            assert (done.returncode, done.stderr) == (0, ""), file.name
            assert "NAME" in done.stdout

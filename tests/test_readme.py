"""README.md says what is so: its commands run, their flags and the files it names exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python ")]
TOUR = [command for command in COMMANDS if "tour/" in command]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project as a clone has it, without what runs leave behind."""
    place = tmp_path_factory.mktemp("clone") / "grepq"
    left = shutil.ignore_patterns(
        ".*",
        "data",
        "tour",
        "Results",
        "__pycache__",
        "tests",
        "*.tar",
        "*.pth",
        "pristine_patches_*",
        "*.csv",
    )
    shutil.copytree(ROOT, place, ignore=left)
    return place


def run(copy, command):
    arguments = shlex.split(command)
    assert arguments[0] == "python"
    return subprocess.run([sys.executable, *arguments[1:]], cwd=copy, capture_output=True, text=True)


def test_the_tour_runs_as_it_is_written(copy):
    assert len(TOUR) == 3
    for command in TOUR:
        done = run(copy, command)
        assert done.returncode == 0, done.stderr
    assert len((copy / "tour/scores.csv").read_text().splitlines()) == 13


def test_every_flag_in_a_command_exists(copy):
    used = {}
    for command in COMMANDS:
        script, *arguments = shlex.split(command)[1:]
        used.setdefault(script, set()).update(word for word in arguments if word.startswith("--"))
    assert len(used) >= 4
    for script, flags in used.items():
        if script.startswith("-"):
            continue
        known = run(copy, f"python {script} --help").stdout
        for flag in flags:
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), f"{script} has no {flag}"


def test_every_file_that_is_named_exists():
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    for line in README[README.index("## Map") :].split("```")[1].splitlines():
        for word in line.split("  ")[0].split():
            assert (ROOT / word).exists(), word


def test_the_demo_prints_what_the_readme_shows(copy):
    command = re.search(r"test_zeroshot\.py .*", (ROOT / "Makefile").read_text()).group()
    done = run(copy, f"python {command}")
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"^(0\.\d{4}) +\S+ +(\S+\.jpg)$", README, re.MULTILINE)
    printed = re.findall(r"^(0\.\d{4}) +\S+ +(\S+\.jpg)$", done.stdout, re.MULTILINE)
    assert len(shown) == 12
    scores = {name: float(score) for score, name in printed}
    for score, name in shown:
        assert scores[name] == pytest.approx(float(score), abs=2e-4)

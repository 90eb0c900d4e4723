"""The wheel: installed beside other people's `datasets`, `models` and `utils` it scores as the clone."""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from configs import VERSION

ROOT = Path(__file__).resolve().parents[1]
NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "Results", "samples", "tests", "data", "build", "*.egg-info", "*.npy", "*.h5"
)
# As Hugging Face's `datasets`, another repository's `models` and anybody's `utils` are.
FAKES = ("datasets", "models", "utils")


def run(*words, cwd, check=True):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment that sees this one's packages and has the wheel in it; no network."""
    pytest.importorskip("setuptools", minversion="77", reason="cannot build by pyproject.toml")
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_COPIED)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(
        *pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, "./source", cwd=folder
    )
    [wheel] = folder.glob("*.whl")

    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / Path(sys.executable).name
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", code, cwd=folder).stdout.strip())
    seen = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (packages / "seen.pth").write_text("\n".join(seen))
    for name in FAKES:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("FAKE = True\n")
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--ignore-installed", wheel)
    run(python, *pip[1:], *install, cwd=folder)
    return SimpleNamespace(wheel=wheel, python=python, grepq=scripts / "grepq", folder=folder)


def test_the_wheel_has_one_name_at_the_top(installed):
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"grepq-{VERSION}.dist-info/METADATA").decode()
    assert {name.partition("/")[0] for name in names} == {"grepq", f"grepq-{VERSION}.dist-info"}
    shipped = {f"Evaluation/{name}" for name in (
        "reports/page.html", "pretrained_weights/README.md", "pretrained_weights/low_level.safetensors",
        "pretrained_weights/low_level_pristine.safetensors", "pretrained_weights/semantic.safetensors",
        "pretrained_weights/semantic_licence.txt",
    )}  # fmt: skip
    code = {str(path.relative_to(ROOT).as_posix()) for name in ("Evaluation", "datasets", "models", "utils")
            for path in (ROOT / name).rglob("*.py")}  # fmt: skip
    assert {f"grepq/{name}" for name in shipped | code} <= set(names)
    assert f"Version: {VERSION}\n" in metadata and "Requires-Dist: torch>=2.4\n" in metadata


def test_other_peoples_packages_stay_theirs(installed):
    code = (
        "import sys, grepq, datasets, models, utils\n"
        "assert 'torch' not in sys.modules and not hasattr(grepq, 'nothing')\n"
        "from grepq import GRepQ\n"
        "import grepq.Evaluation.few_labels.blocks, grepq.Evaluation.reports.page\n"
        f"for name in {FAKES}: assert sys.modules[name].FAKE and name + '.errors' not in sys.modules\n"
        "assert not {'configs', 'losses', 'training', 'Evaluation'} & set(sys.modules)\n"
        "print(grepq.__version__, GRepQ.__module__)"
    )
    done = run(installed.python, "-W", "error::ImportWarning", "-c", code, cwd=installed.folder)
    assert done.stdout.split() == [VERSION, "grepq.Evaluation.grepq"]


def test_the_command_scores_from_anywhere(installed, tmp_path):
    image = ROOT / "samples" / "coffee.jpg"
    flags = (
        "--eval_type",
        "zeroshot_single_img",
        "--test_img_path",
        image,
        "--branch",
        "low",
        "--device",
        "cpu",
    )
    run(installed.grepq, "zeroshot", *flags, "--output", "scores.csv", cwd=tmp_path)
    head, row = (tmp_path / "scores.csv").read_text().splitlines()[-2:]
    assert float(dict(zip(head.split(","), row.split(","), strict=True))["q_low"]) == pytest.approx(
        0.4547, abs=1e-3
    )


def test_help_and_mistakes_do_not_wait_for_torch(installed, tmp_path):
    whole = run(installed.grepq, "--help", cwd=tmp_path).stdout
    assert "score " in whole and "zeroshot " in whole
    code = (
        "import sys; from grepq.__main__ import main\n"
        "try: main(['zeroshot', '--help'])\n"
        "finally: print('torch' in sys.modules)"
    )
    words = run(installed.python, "-c", code, cwd=tmp_path).stdout.split()
    assert words[:3] == ["usage:", "grepq", "zeroshot"] and words[-1] == "False"
    done = run(installed.grepq, "guess", "photo.jpg", cwd=tmp_path, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "'guess'" in done.stderr


@pytest.fixture
def rewritten(monkeypatch):
    """`rewritten` of setup.py."""
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    return runpy.run_path(str(ROOT / "setup.py"))["rewritten"]


def test_imports_are_rewritten_wherever_they_stand(rewritten):
    text = (
        "from {}datasets.rated import sets\nif a:\n    from {}configs import (\n    B)\n"
        "from models_x import c\n"
        "'''\n>>> from {}Evaluation import GRepQ\nfrom models of others\n'''\n"
    )
    assert rewritten(text.replace("{}", ""), "x.py") == text.replace("{}", "grepq.")


@pytest.mark.parametrize("source", [
    "import datasets", "import os, models.device as d", "if a: from utils import b", "load('models.engine')",
    "from training import loop",
])  # fmt: skip
def test_what_cannot_be_rewritten_stops_the_build(rewritten, source):
    with pytest.raises(ValueError, match=r"x\.py"):
        rewritten(source, "x.py")

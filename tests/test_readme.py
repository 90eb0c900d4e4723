"""README.md and docs say what is so: their flags and files exist, their examples run."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from configs import SYNTHESIS_PRESETS, TRAINING_PRESETS
from Evaluation import GRepQ, grepq
from utils.config_fields import override

ROOT = Path(__file__).resolve().parent.parent
CARD = "Evaluation/pretrained_weights/README.md"
PAGES = ["README.md", CARD, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]


def commands():
    """Module -> the arguments of each of its uses, in code blocks and between backticks."""
    used = {}
    for text in TEXTS.values():
        blocks = re.findall(r"```(?:bash)?\n(.*?)```", text, re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`]+)`", text)
        for line in lines:
            words = shlex.split(" ".join(line.split())) if line.startswith("python ") else []
            if len(words) > 2 and words[1] == "-m":
                module, rest = words[2], words[3:]
            elif len(words) > 1 and words[1].endswith(".py"):
                module, rest = words[1].removesuffix(".py"), words[2:]
            else:
                continue
            used.setdefault(module, []).append(rest)
    return used


@pytest.mark.parametrize("module, uses", [
    (module, uses) for module, uses in sorted(commands().items()) if not module.startswith("benchmarks.")
])  # fmt: skip
def test_every_flag_in_a_command_exists(run_script, module, uses):
    status, known, _ = run_script("benchmarks.__main__" if module == "benchmarks" else module, "--help")
    assert status == 0
    for flag in {word for use in uses for word in use if word.startswith("--")}:
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), f"{module} has no {flag}"


def test_every_preset_and_field_of_training_exists():
    for use in commands()["train"]:
        presets = TRAINING_PRESETS["hl_model_train" if "hl_model_train" in use else "ll_model_train"]
        config = presets[use[use.index("--preset") + 1] if "--preset" in use else "default"]
        override(config, [word for word in use if "=" in word])
    for use in commands()["tools.synthesize_distortions"]:
        assert "--preset" not in use or use[use.index("--preset") + 1] in SYNTHESIS_PRESETS


def test_every_benchmark_that_is_named_exists():
    gone = {"benchmarks.sweep", "benchmarks.pristine_choice"}  # of an earlier commit, as is said there
    for module in {one for one in commands() if one.startswith("benchmarks.")} - gone:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_every_file_that_is_named_exists():
    for page, text in TEXTS.items():
        for path in re.findall(r"\]\(([^)#:]+)\)", text):
            assert ((ROOT / page).parent / path).exists(), f"{page}: {path}"


@pytest.mark.parametrize("what", ["README.md", "grepq"])
def test_the_examples_run(what, monkeypatch):
    monkeypatch.chdir(ROOT)
    if what == "grepq":
        failed, tried = doctest.testmod(grepq)
    else:
        failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried >= 4 and failed == 0


def test_the_demo_prints_what_the_readme_shows():
    shown = re.findall(r"^(0\.\d{4}) +\S+ +(\S+\.jpg)$", README, re.MULTILINE)
    assert len(shown) == 12
    model = GRepQ.from_pretrained(branch="low", device="cpu")
    for score, name in shown:
        assert model.score(ROOT / "samples" / name).q_low == pytest.approx(float(score), abs=2e-4)

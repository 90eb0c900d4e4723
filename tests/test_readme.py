"""README.md and docs say what is so: their flags and files exist, their examples run."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from Evaluation import GRepQ, grepq

ROOT = Path(__file__).resolve().parent.parent
CARD = "Evaluation/pretrained_weights/README.md"
PAGES = ["README.md", CARD, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
README = TEXTS["README.md"]


def commands():
    """Module -> flags that are used with it, in code blocks and between backticks."""
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
            used.setdefault(module, set()).update(word for word in rest if word.startswith("--"))
    return used


@pytest.mark.parametrize("module, flags", [
    (module, flags) for module, flags in sorted(commands().items())
    if module.split(".")[0] in ("tools", "experiments") or "." not in module
])  # fmt: skip
def test_every_flag_in_a_command_exists(run_script, module, flags):
    status, known, _ = run_script(module, "--help")
    assert status == 0
    for flag in flags:
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), f"{module} has no {flag}"


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

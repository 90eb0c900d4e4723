"""Lays packages and scripts of this repository under `grepq` when it is built; the rest is pyproject.toml.

In a clone they are imported from its root, as `datasets.decoder`. In site-packages those names are other
people's, so the built copy has `grepq.datasets.decoder`, and its import statements are rewritten to match.
"""

import ast
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

PACKAGES = ("Evaluation", "datasets", "losses", "models", "utils")
SCRIPTS = ("configs", "score_images", "test_zeroshot")
LEFT_OUT = ("benchmarks", "experiments", "tools", "training")
SHIPPED = rf"(?:{'|'.join(PACKAGES + SCRIPTS)})(?:\.\w+)*"
OURS = rf"(?:{'|'.join(PACKAGES + SCRIPTS + LEFT_OUT)})(?:\.\w+)*"


def rewritten(source: str, file: str) -> str:
    """`source` with `from datasets.x import y` as `from grepq.datasets.x import y`, in its examples too.

    Raises:
        ValueError: it names a module of ours in another way, or one that is left out.
    """
    source = re.sub(rf"^(\s*(?:>>> )?from )(?={SHIPPED} import\b)", r"\1grepq.", source, flags=re.MULTILINE)
    for node in ast.walk(ast.parse(source, file)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            names = [node.value]  # as importlib takes it
        for name in names:
            if re.fullmatch(OURS, name):
                raise ValueError(f"{file}: only 'from ... import ...' of what the wheel has, not '{name}'.")
    return source


class Build(build_py):
    """Copies modules with their imports rewritten."""

    def run(self) -> None:
        """From an empty folder, or a module that is gone here would stay in the wheel."""
        if self.editable_mode:
            # setuptools would make a warning of any other exception.
            raise SystemExit("grepq is not installed with -e: its scripts run from this folder as they are.")
        shutil.rmtree(Path(self.build_lib) / "grepq", ignore_errors=True)
        super().run()

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """(package, module, file) of each; `grepq` has the scripts of the root besides."""
        scripts = [name for name in SCRIPTS if package == "grepq" and Path(f"{name}.py").is_file()]
        found = super().find_package_modules(package, package_dir)
        return [*found, *((package, name, f"{name}.py") for name in scripts)]

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        """Write a module to where the wheel takes it from."""
        target = Path(self.get_module_outfile(self.build_lib, package.split("."), module))
        target.parent.mkdir(parents=True, exist_ok=True)
        source = Path(module_file).read_text(encoding="utf-8")
        target.write_text(rewritten(source, module_file), encoding="utf-8", newline="\n")
        return str(target), True


found = find_packages(include=[one for name in PACKAGES for one in (name, f"{name}.*")])
setup(
    cmdclass={"build_py": Build},
    packages=["grepq", *(f"grepq.{name}" for name in found)],
    package_dir={"grepq": "grepq", **{f"grepq.{name}": name for name in PACKAGES}},
    package_data={"": ["*.html", *(f"pretrained_weights/*.{kind}" for kind in ("safetensors", "txt", "md"))]},
)

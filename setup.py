"""Puts the recipes of `configs/` into the wheel; everything else is in pyproject.toml."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRecipes(build_py):
    """Copies `configs/*.py` to `emr_ner_tf/configs/` in what is built."""

    def run(self) -> None:
        """Builds the package, then adds the recipes."""
        super().run()
        if self.editable_mode:
            return  # A checkout has them at its root.
        target = pathlib.Path(self.build_lib, "emr_ner_tf", "configs")
        self.mkpath(str(target))
        for recipe in pathlib.Path("configs").glob("*.py"):
            self.copy_file(str(recipe), str(target / recipe.name))


setup(cmdclass={"build_py": BuildWithRecipes})

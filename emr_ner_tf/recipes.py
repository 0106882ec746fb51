"""The recipes of `configs/`, by name: in a checkout they are beside the package, in an installed wheel within it."""

import importlib.machinery
import importlib.util
import pathlib
import traceback

from emr_ner_tf.config import ConfigDict
from emr_ner_tf.errors import UserError

_PACKAGE = pathlib.Path(__file__).parent


def recipe_names() -> tuple[str, ...]:
    """Returns the names that `find_recipe` knows, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.py") if path.stem != "__init__"))


def find_recipe(name_or_path: str) -> pathlib.Path:
    """Returns the file of a recipe.

    Args:
        name_or_path: a name, such as "default", or the path of a file that defines `get_config`.

    Raises:
        UserError: there is neither a recipe of that name nor such a file.
    """
    if name_or_path in recipe_names():
        return _folder() / f"{name_or_path}.py"
    path = pathlib.Path(name_or_path).expanduser()
    if path.is_file():
        return path
    raise UserError(
        f"the recipe must be one of {', '.join(recipe_names())}, or a file that defines get_config; "
        f"got {name_or_path!r}"
    )


def read_recipe(name_or_path: str, *arguments: str) -> ConfigDict:
    """Returns what a recipe's `get_config` returns.

    Args:
        name_or_path: as for `find_recipe`; "paper:ROW" passes ROW to `get_config`.
        arguments: arguments of `get_config`.

    Raises:
        UserError: as `find_recipe`, or the file fails; the message has its line.

    Example:
        >>> read_recipe("quickstart").model.units
        64
    """
    name, colon, argument = name_or_path.partition(":")
    path = find_recipe(name)
    loader = importlib.machinery.SourceFileLoader(f"recipe_{path.stem}", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    try:
        loader.exec_module(module)
        return module.get_config(*([argument] if colon else []), *arguments)
    except UserError:
        raise
    except Exception as error:  # whatever a file of the user's own may raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        line = error.lineno if getattr(error, "filename", None) == str(path) else lines[-1] if lines else None
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path}{f':{line}' if line else ''}: a recipe must be a Python file with a function get_config that takes "
            f"what follows the colon of RECIPE:ROW and returns the configuration, got {type(error).__name__}: {what}"
        ) from error


def _folder() -> pathlib.Path:
    within = _PACKAGE / "configs"
    return within if within.is_dir() else _PACKAGE.parent / "configs"

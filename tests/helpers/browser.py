"""The browser of the tests that need one: they are skipped without it, but where CI is set they fail."""

import os
import shutil

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def require_browser() -> str:
    """Returns the path of a browser; skips the test if there is none, or fails it if the variable CI is set."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is not None:
        return found
    needs = f"needs a browser ({', '.join(_NAMES)}): apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(f"{needs}; CI is set, so this test is not skipped", pytrace=False)
    pytest.skip(needs)

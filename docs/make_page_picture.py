"""Takes docs/figures/page.png, with chromium: `python docs/make_page_picture.py runs/quickstart/bundles`."""

import pathlib
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

_PICTURE = pathlib.Path(__file__).parent / "figures" / "page.png"
_TEXT = (
    "患者因右肺上叶腺癌入院，行胸部CT检查，予头孢哌酮静滴。既往高血压病史10年，口服硝苯地平控释片。\n"
    "查体：腹软，肝脾未触及。血常规示白细胞升高，行腹腔镜胆囊切除术，术后恢复良好。"
)


def main() -> None:
    """Serves the bundles, annotates the text on the page, and takes the picture."""
    bundles = [f"--bundle={path}" for path in sys.argv[1:]]
    command = [sys.executable, "-m", "emr_ner_tf.cli.try", *bundles, "--no_browser"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        sync_playwright() as playwright,
    ):
        address = server.stdout.readline().strip()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1100, "height": 1000}, locale="en-US")
        page.goto(address)
        page.wait_for_selector("#models input")
        page.fill("#text", _TEXT)
        page.click("#annotate")
        page.wait_for_selector(".mention")
        page.locator(".mention").first.hover()
        page.screenshot(path=_PICTURE, full_page=True)
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()

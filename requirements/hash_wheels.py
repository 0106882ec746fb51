"""Lists the wheels in a folder by version and hash: `python requirements/hash_wheels.py FOLDER`.

pip installs exactly the files that FOLDER/requirements.txt then names:
`pip install --no-index --find-links FOLDER --require-hashes -r FOLDER/requirements.txt`.
"""

import hashlib
import pathlib
import sys


def main() -> None:
    """Writes the file; a package with two wheels is an error, since pip would refuse both."""
    folder = pathlib.Path(sys.argv[1])
    lines: dict[str, str] = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if name in lines:
            sys.exit(
                f"{folder}: has two wheels of {name} ({lines[name].split()[0]} and {version}); remove one"
            )
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines[name] = f"{name}=={version} --hash=sha256:{digest}"
    if not lines:
        sys.exit(f"{folder}: has no wheel")
    (folder / "requirements.txt").write_text("\n".join(lines.values()) + "\n", encoding="utf-8")
    print(f"{folder}: {len(lines)} wheels")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes a zip whose bytes depend on names and contents alone: `zip.py OUT NAME=FILE...`.

cargo-lambda's own zip carries the time at which the binary was written, so that no two builds have the same hash. Here entries are in the order of their
names, have the date with which DOS began, and may be executed by all. (zlib decides how well they are packed: another version of it may give other bytes, of
the same content. The build prints the hashes of both.)
"""

import sys
import zipfile
from pathlib import Path

DATE = (1980, 1, 1, 0, 0, 0)
UNIX = 3
MODE = 0o100755


def write(out: Path, entries: dict[str, Path]) -> None:
    """The entries by name; their files' times, modes and folders do not matter."""
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = UNIX
            info.external_attr = MODE << 16
            archive.writestr(info, entries[name].read_bytes(), zipfile.ZIP_DEFLATED, 9)


def main(arguments: list[str]) -> int:
    pairs = [argument.partition("=") for argument in arguments[1:]]
    if not pairs or not all(name and file for name, _, file in pairs):
        print("usage: zip.py OUT NAME=FILE...", file=sys.stderr)
        return 2
    write(Path(arguments[0]), {name: Path(file) for name, _, file in pairs})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python
"""Write the table of ms-swift's options: python packaging/swift_flags.py [FOLDER that holds swift/].

Without a folder, the installed ms-swift is read. transformers must be installed: `swift sft` takes its options too.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sft.training import flags, swift_source


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else swift_source.installed_root()
    if root is None:
        sys.exit("ms-swift is not installed: give the folder of an unpacked wheel")
    found = swift_source.read_flags(root)
    flags.write_table(swift_source.version(root), found)
    counts = ", ".join(f"{len(table)} of {backend}" for backend, table in found.items())
    print(f"{flags.TABLE}: ms-swift {swift_source.version(root)}, {counts}")


if __name__ == "__main__":
    main()

"""Make WordNet 3.0 available: use what is there, else install Debian's package, else ask NLTK's downloader."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from wordnet_synsets.errors import WordNetError
from wordnet_synsets.locate import find_wordnet


def main() -> int:
    try:
        sys.stdout.write(f"WordNet 3.0: {find_wordnet().path}\n")
        return 0
    except WordNetError:
        pass
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stdout.write("WordNet 3.0 is missing: installing Debian's wordnet-base\n")
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wordnet-base"],
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    try:
        sys.stdout.write(f"WordNet 3.0: {find_wordnet(download=True).path}\n")
    except WordNetError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

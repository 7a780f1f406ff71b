"""Install the real servers and programs that the tests run against: Debian packages, when root.

Elsewhere the tests that need a missing part are skipped by name (in CI that is a failure).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Package → a file that tells it is there.
PACKAGES = {
    "caddy": "/usr/bin/caddy",
    "chromium": "/usr/bin/chromium",
    "cron": "/usr/sbin/cron",
    "docker-compose": "/usr/bin/docker-compose",
    "fonts-dejavu-core": "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "imagemagick": "/usr/bin/convert-im6.q16",
    # The Node.js that drives Chromium is linked with it.
    "libatomic1": "/usr/share/doc/libatomic1",
    "mediawiki": "/usr/share/mediawiki/includes/WebStart.php",
    "nginx-light": "/usr/sbin/nginx",
    # Loads meta.mat as MATLAB would; 79 MB to fetch.
    "octave": "/usr/bin/octave-cli",
    "php-cli": "/usr/bin/php",
    "php-curl": "/usr/share/doc/php-curl",
    "php-gd": "/usr/share/doc/php-gd",
    "php-intl": "/usr/share/doc/php-intl",
    "php-mbstring": "/usr/share/doc/php-mbstring",
    "php-sqlite3": "/usr/share/doc/php-sqlite3",
    "php-xml": "/usr/share/doc/php-xml",
    "postgresql": "/usr/share/doc/postgresql",
    "swift": "/etc/swift/swift.conf",
    "swift-account": "/usr/bin/swift-account-server",
    "swift-container": "/usr/bin/swift-container-server",
    "swift-object": "/usr/bin/swift-object-server",
    "swift-proxy": "/usr/bin/swift-proxy-server",
    "systemd": "/usr/bin/systemd-analyze",
    "wordnet-base": "/usr/share/wordnet/data.noun",
}


def main() -> int:
    missing = [package for package, mark in PACKAGES.items() if not Path(mark).exists()]
    if not missing:
        return 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.stderr.write(
            f"not here: {' '.join(missing)}; tests that need them are skipped by name. "
            f"On Debian: sudo apt-get install --no-install-recommends {' '.join(missing)}\n"
        )
        return 0
    sys.stdout.write(f"installing {' '.join(missing)}\n")
    sys.stdout.flush()
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    done = subprocess.run(
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        check=False,
        env=quiet,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout[-4000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())

"""How many files and connections this process may have open."""

from __future__ import annotations

import resource

from imagenet_builder.errors import ProjectError

# For the store, the image store, workers, and connections kept alive for a next request to their host.
BESIDE = 256
IDLE = 4096


def allow_connections(count: int) -> None:
    """Raise this process's limit of open files, as far as it may, for `count` connections and idle ones beside them.

    Raises ProjectError where the system allows fewer than `count` need.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count + BESIDE + IDLE if hard == resource.RLIM_INFINITY else hard
    if most < count + BESIDE:
        raise ProjectError(
            f"[crawl] connections = {count} takes {count + BESIDE} open files and the system allows {most}; "
            "lower it, or raise the limit (`ulimit -Hn`)"
        )
    if soft != resource.RLIM_INFINITY and soft < (wanted := min(most, count + BESIDE + IDLE)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

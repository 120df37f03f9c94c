"""What a process does once before it serves thousands of streams."""

from __future__ import annotations

import gc
import resource


def settle() -> None:
    """Allow as many open files as the system lets us (a stream takes two), and leave what is loaded by now out of the
    garbage collector's rounds: libraries are a million objects, and each full round over them holds all streams up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    gc.freeze()

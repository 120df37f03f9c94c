"""Runs one engine and takes it down, with everything it started, when the gateway is gone.

    python -P -S reaper.py SECONDS COMMAND [ARGUMENT...]

Its standard input is a pipe that only the gateway holds: when the gateway ends, in whatever way (SIGKILL too), the
pipe closes and the engine's whole process group is ended: SIGTERM, and SIGKILL for what is left after SECONDS. Exits
with the engine's exit code. Standard library only and no project import: this process lives as long as the engine and
must stay small.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> int:
    """Start the command in a process group of its own; wait for its end or for ours."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C reaches the gateway, which closes the pipe
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = subprocess.Popen(
        sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_default_signals
    )
    while child.poll() is None:
        gateway_gone, _, _ = select.select([sys.stdin], [], [], 0.2)
        if gateway_gone and not os.read(sys.stdin.fileno(), 1):
            break
    _end(child, float(sys.argv[1]))
    return child.wait()


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _end(child: subprocess.Popen[bytes], polite_s: float) -> None:
    """SIGTERM to the group, SIGKILL to what is left of it after a while."""
    deadline = time.monotonic() + polite_s
    number = int(signal.SIGTERM)
    while _signal_group(child.pid, number):
        number = 0 if time.monotonic() < deadline else signal.SIGKILL
        child.poll()
        _reap_orphans(child)
        time.sleep(0.05)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reap_orphans(child: subprocess.Popen[bytes]) -> None:
    """Grandchildren whose parent has died are ours to bury; the child itself belongs to Popen."""
    if child.returncode is None:
        return
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main())

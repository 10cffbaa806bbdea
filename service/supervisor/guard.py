"""Hold one program on a lifeline: when the supervisor ends, however it ends, so does the program.

    supervisor --(write end of a pipe)--> guard --(parent-death signal)--> program

The supervisor keeps the write end. One byte through it asks for a stop: first the stop
signal, after the grace a kill. End-of-file without a byte says that the supervisor is gone,
whatever ended it; then the grace is short, because the next start waits for the data. What
the program leaves of its process group is killed in every case, also when it ends by
itself. A guard that is killed itself takes its program along by the parent-death signal,
where the system has one; that is a kill, because nobody is left to insist.

    python -I -S guard.py LIFELINE STOP_SIGNAL GRACE_S UID:GID|- PROGRAM [ARGUMENT ...]

Started as a file, with the standard library only: it must never fail to load.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1

#: after the supervisor has died; what is stored survives a kill, and everything else is kept by promises
ORPHANED_GRACE_S = 2.0


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code, 128 + number when a signal ended it."""
    lifeline, stop_signal, grace_s = int(arguments[0]), int(arguments[1]), float(arguments[2])
    user, command = arguments[3], arguments[4:]
    wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    stops: list[int] = []
    guard = os.getpid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stops.append(received))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = subprocess.Popen(
        command,
        # A group of its own: the terminal's Ctrl-C reaches only the supervisor.
        process_group=0,
        # Safe, as this process has no threads.
        preexec_fn=lambda: _become(user, guard),
    )
    while program.poll() is None:
        readable, _, _ = select.select([lifeline, wakeup], [], [])
        if wakeup in readable:
            os.read(wakeup, 512)
        if lifeline in readable or stops:
            orphaned = not stops and not os.read(lifeline, 1)
            _ask(program, stop_signal, min(grace_s, ORPHANED_GRACE_S) if orphaned else grace_s)
    _end_group(program.pid)
    return program.returncode if program.returncode >= 0 else 128 - program.returncode


def _pipe() -> tuple[int, int]:
    """Return a pipe whose reading end never blocks, where pipe2 does not exist."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    return reading, writing


def _become(user: str, guard: int) -> None:
    """Turn the forked process into the program's user, and tie its life to the guard's."""
    if user != "-":
        uid, gid = (int(number) for number in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which clears it.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)


def _ask(program: "subprocess.Popen[bytes]", stop_signal: int, grace_s: float) -> None:
    """Ask the program to stop, and kill it at the end of the grace."""
    program.send_signal(stop_signal)
    try:
        program.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _end_group(group: int) -> None:
    """Kill what a program that is gone, in whatever way, has left of its own processes."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing of the group is left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

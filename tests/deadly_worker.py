"""`python -m worker`, in which one patient kills the process that decides about it.

    python tests/deadly_worker.py worker|sweep PATIENT TALLY

A native library that crashes or a record that exhausts the memory ends a process like this: in the
middle of an evaluation, without a word. Each death is a line of the file TALLY. The process that the
sweep keeps beside it imports this file, too, and is as mortal. What it is started as ends with the test
run that started it, also when that is killed.
"""

import os
import signal
import sys

from service import lifeline
from worker import __main__ as program
from worker import advance

what, patient, tally = sys.argv[1:]
decide = advance.decide


def deadly(pathway, case):
    if case.record.patient.id == patient:
        with open(tally, "a") as deaths:  # noqa: PTH123 - one write, and then nothing runs any more
            deaths.write(f"{os.getpid()}\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return decide(pathway, case)


advance.decide = deadly
if __name__ == "__main__":
    lifeline.end_with_parent()
    program.main(what)

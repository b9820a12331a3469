"""All escapes. ``python3 -m tests.reliability.escapes.corpus TARGET NAME...`` prints a line of JSON for each."""

import json
import os
import signal
import sys

from tests.reliability.escapes import attack_files, attack_kernel, attack_network, attack_processes
from tests.reliability.escapes.attack import CORPUS, Target, attempt

ATTACK_SECONDS_MAX = 10
FAMILIES = (attack_files, attack_kernel, attack_network, attack_processes)
"""The modules that add their attacks to the corpus."""


def main(target: Target, names: list[str]) -> None:
    """Run attacks, each in a process of its own, and print their results."""
    for name in names:
        child = os.fork()
        if not child:
            signal.alarm(ATTACK_SECONDS_MAX)
            print(json.dumps(attempt(name, target)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            outcome = "denied" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS else "broken"
            print(json.dumps({"name": name, "outcome": outcome, "detail": f"status {status}"}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:] or list(CORPUS))

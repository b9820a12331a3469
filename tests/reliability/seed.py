"""The seed of a randomised test, printed so that the run can be repeated."""

import os
import secrets


def fresh_seed(name: str) -> int:
    """Return a new seed, or the one in ``ATHENA_TEST_SEED``."""
    seed = int(os.environ.get("ATHENA_TEST_SEED") or secrets.randbelow(10**9))
    print(f"{name}: ATHENA_TEST_SEED={seed}")
    return seed

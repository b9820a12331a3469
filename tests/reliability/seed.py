"""The seed: where a test with chance in it begins; printed, so that the same chances can be had again."""

import os
import secrets


def fresh_seed(name: str) -> int:
    """A new seed, or the one in ``ATHENA_TEST_SEED``."""
    seed = int(os.environ.get("ATHENA_TEST_SEED") or secrets.randbelow(10**9))
    print(f"{name}: ATHENA_TEST_SEED={seed}")
    return seed

"""The program that tests run as a server: settings from the environment, any free port, which it prints."""

import os

from athena_api.app import build
from athena_api.server import STALLED_MS_MAX, listen, serve
from athena_core.services.executors import FROZEN_SECONDS
from athena_core.settings import load


def main() -> None:
    """Serve until told to stop."""
    frozen_seconds = float(os.environ.get("ATHENA_TEST_FROZEN_SECONDS", FROZEN_SECONDS))
    app = build(load(), frozen_seconds=frozen_seconds)
    stalled_ms_max = int(os.environ.get("ATHENA_TEST_STALLED_MS_MAX", STALLED_MS_MAX))
    listener = listen("127.0.0.1", 0, stalled_ms_max=stalled_ms_max)
    print(listener.getsockname()[1], flush=True)
    serve(app, listener)


if __name__ == "__main__":
    main()

"""The program that tests run as a server: settings from the environment, any free port, which it prints."""

import os

from athena_api.app import build
from athena_api.server import listen, serve
from athena_core.services.executors import FROZEN_SECONDS
from athena_core.settings import load


def main() -> None:
    """Serve until told to stop."""
    frozen_seconds = float(os.environ.get("ATHENA_TEST_FROZEN_SECONDS", FROZEN_SECONDS))
    settings = load()
    app = build(settings, frozen_seconds=frozen_seconds)
    listener = listen("127.0.0.1", 0, send_timeout_ms=settings.send_timeout_ms)
    print(listener.getsockname()[1], flush=True)
    serve(app, listener)


if __name__ == "__main__":
    main()

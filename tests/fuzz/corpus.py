"""The corpus: inputs of each target that once reached something new, or broke something; one JSON string a line."""

import json
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def path_of(target: str) -> Path:
    return FOLDER / f"{target}.jsonl"


def kept(target: str) -> list[bytes]:
    """Return the inputs of a target; each byte is the character of its number."""
    return [json.loads(line).encode("latin-1") for line in path_of(target).read_text(encoding="ascii").splitlines()]


def keep(target: str, inputs: Iterable[bytes]) -> None:
    """Replace the inputs of a target: each once, the short ones first."""
    FOLDER.mkdir(exist_ok=True)
    lines = [json.dumps(one.decode("latin-1")) for one in sorted(set(inputs), key=lambda one: (len(one), one))]
    path_of(target).write_text("".join(line + "\n" for line in lines), encoding="ascii")

"""The command that writes the committed listings anew."""

from tests.api.access import access_text
from tests.api.listing import FOLDER, LISTINGS


def main() -> None:
    """Write them."""
    for name, text in {**LISTINGS, "access.txt": access_text}.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The command that writes the committed listings of the API and of the packages anew."""

from tests.api.access import access_text
from tests.api.access_of_tokens import tokens_text
from tests.api.listing import FOLDER, LISTINGS
from tests.support import packages


def main() -> None:
    for name, text in LISTINGS.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")
    (FOLDER / "access.txt").write_text(access_text() + tokens_text(), encoding="utf-8")
    packages.LISTING.write_text(packages.packages_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

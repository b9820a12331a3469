"""The report on the findings of pip-audit: versions with known vulnerabilities, and the number not looked up."""

import json
import sys
from pathlib import Path
from typing import Any

NAMES_SHOWN_MAX = 10


def judge(dependencies: list[dict[str, Any]]) -> tuple[list[str], int]:
    """Return lines to print and the exit code: 1 if a version has a known vulnerability."""
    skipped = [package["name"] for package in dependencies if "skip_reason" in package or "vulns" not in package]
    holes = []
    for package in dependencies:
        for hole in package.get("vulns", ()):
            fixed = ", ".join(hole["fix_versions"]) or "no release"
            holes.append(f"{package['name']} {package['version']}: {hole['id']}, fixed in {fixed}")
    count, looked = len(dependencies), len(dependencies) - len(skipped)
    if looked == 0:
        return [f"Nothing was audited: {len(skipped)} of {count} could not be looked up."], 0
    lines = [
        *holes,
        f"{len(holes)} known vulnerabilities in {looked} versions."
        if holes
        else f"No known vulnerability in {looked} versions.",
    ]
    if skipped:
        names = ", ".join(skipped[:NAMES_SHOWN_MAX]) + (", …" if len(skipped) > NAMES_SHOWN_MAX else "")
        lines.append(f"Not audited: {len(skipped)} of {count} could not be looked up: {names}.")
    return lines, 1 if holes else 0


if __name__ == "__main__":
    found, status = judge(json.loads(Path(sys.argv[1]).read_text("utf-8"))["dependencies"])
    print("\n".join(found))
    sys.exit(status)

"""The site of the documentation: it builds without a warning, asks no other host, and a broken link fails the build."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".site" / "env" / "bin" / "python"
LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)\"|url\(['\"]?(https?:)?//"
)

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not PYTHON.exists(), reason="not built: the environment of the site (make site)"),
]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the documentation, beside the files that it links."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path / "docs"


def build(sources: Path) -> tuple[int, str]:
    """Build the site as ``make site`` does. Return the exit code and the warnings."""
    place = sources.parent
    options = ["-q", "-W", "--keep-going", "-n", "-c", sources / "site", "-d", place / "cache"]
    command = map(str, [PYTHON, "-m", "sphinx", *options, sources, place / "html"])
    done = subprocess.run([*command], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_the_site_has_every_page_and_asks_no_other_host(sources: Path) -> None:
    assert build(sources) == (0, "")
    site = sources.parent / "html"
    pages = {path.relative_to(sources).with_suffix("") for path in sources.rglob("*.md")}
    assert pages <= {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".svg"}]
    assert not [f"{path.name}: {found[0]}" for path in files if (found := LOADED.search(path.read_text("utf-8")))]
    index = (site / "searchindex.js").read_text("utf-8").removeprefix("Search.setIndex(").removesuffix(")")
    found = json.loads(index)
    assert {"how-to/nginx", "reference/cli"} <= set(found["docnames"])
    for name in ("ollama", "vllm"):  # the search lists pages with a word in their title first
        assert found["titleterms"][name] == found["docnames"].index("how-to/local-model"), name


def test_a_broken_link_a_wrong_anchor_and_a_page_without_a_place_fail_the_build(sources: Path) -> None:
    (sources / "how-to" / "lost.md").write_text("# Lost\n")
    with (sources / "how-to" / "nginx.md").open("a") as page:
        page.write("\nSee [this](nowhere.md) and [that](haproxy.md#nothing).\n")
    code, warnings = build(sources)
    assert code == 1
    assert "nowhere.md" in warnings
    assert "'nothing'" in warnings
    assert "lost.md: WARNING: document isn't included in any toctree" in warnings

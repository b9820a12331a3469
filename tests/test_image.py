"""The image: the instructions of the Dockerfile are run, and then the containers of the deployment page."""

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from tests.support.booted import OUT, Booted, lack, url_there, with_database
from tests.support.image import Image
from tests.support.pages import blocks
from tests.support.postgres import Cluster

ADDRESS = "172.17.0.2"
"""An address in the network of Docker, of which the page says that proxies are there."""

SECRET = "what-only-the-proxy-knows"
PROBE = """import json
from athena_core.system.sandbox import probe
found = probe()
print(json.dumps([found.available, f"{found.reason}. {found.remedy}"]))
"""
MASKED = """
for file in kcore keys timer_list; do test ! -e /proc/$file || mount --bind /dev/null /proc/$file; done
for place in acpi scsi; do test ! -e /proc/$place || mount -t tmpfs -o ro none /proc/$place; done
for place in bus fs irq sys sysrq-trigger; do
    test ! -e /proc/$place || mount --bind -o ro /proc/$place /proc/$place
done
"""
"""The paths of /proc that Docker masks or protects."""

SERVED = """
ip link set lo up
ip address add {address}/16 dev lo
{server} > {out}/server.log 2>&1 &
server=$!
until {healthy}; do kill -0 $server; sleep 0.1; done 2> /dev/null
curl --silent --show-error --interface {address} --header "host: athena.example.org" \\
    --header "x-athena-identity: ada" --header "x-athena-proxy-secret: {secret}" \\
    http://{address}:8787/api/v1/caller > {out}/caller
touch {out}/worker.log
{worker} > {out}/worker.log 2>&1 &
worker=$!
until grep --quiet working {out}/worker.log; do kill -0 $worker; sleep 0.1; done
kill $worker $server
wait $worker
wait $server
"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(lack() is not None, reason=str(lack())),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Booted]:
    with with_database(tmp_path_factory.mktemp("machine"), cluster.url) as found:
        yield found


@pytest.fixture(scope="module")
def image(machine: Booted) -> Image:
    found = Image(machine)
    found.build()
    return found


def containers() -> list[tuple[dict[str, str], list[str]]]:
    """Return the variables and the words of each container that the page starts."""
    (text,) = (text for language, text in blocks("docs/how-to/deployment.md") if "docker run" in text)
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        variables = dict(words[n + 1].split("=", 1) for n, word in enumerate(words) if word == "--env")
        found.append((variables, words[words.index("athena", words.index("--env")) + 1 :]))
    return found


def test_the_programs_that_a_run_needs_are_there_and_nothing_to_build_with(image: Image) -> None:
    assert re.fullmatch(r"projectathena [\d.]+\n", image.run("athena --version"))
    image.run("git --version; bwrap --version")
    image.run("test ! -e /usr/src/athena; test ! -e /tmp/versions.txt")
    assert image.run("id -u; pwd") == "10001\n/workspace\n"
    for place in image.volumes:
        image.run(f"touch {place}/x; rm {place}/x")


def test_the_containers_of_the_page_are_healthy_and_stop(machine: Booted, image: Image, cluster: Cluster) -> None:
    with cluster.database() as url:
        changed = {"ATHENA_DATABASE_URL": url_there(url)}
        (server, words), (worker, other_words) = containers()
        assert not words
        server |= changed | {"ATHENA_AUTH_PROXY_SECRET": SECRET}
        script = SERVED.format(
            address=ADDRESS,
            secret=SECRET,
            out=OUT,
            server=image.command(*image.words["ENTRYPOINT"], *image.words["CMD"], **server),
            healthy=image.command(*image.words["HEALTHCHECK"]),
            worker=image.command(*image.words["ENTRYPOINT"], *other_words, **worker | changed),
        )
        printed = machine.run(shlex.join(("unshare", "--net", "sh", "-euc", script)))
        assert printed == ""
    caller = json.loads((machine.out / "caller").read_text())
    assert caller.get("data", {}).get("identity") == "ada", caller


def test_the_sandbox_works_in_it_but_not_behind_masks_of_proc(machine: Booted, image: Image) -> None:
    probing = image.command("python", "-c", PROBE)
    assert json.loads(machine.run(probing))[0] is True
    works, text = json.loads(machine.run(shlex.join(("unshare", "--mount", "sh", "-euc", f"{MASKED}{probing}"))))
    assert not works
    assert "in a container, do not mask paths of /proc" in text

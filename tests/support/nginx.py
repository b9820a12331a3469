"""A real nginx in front of servers under test."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from tests.support.api import soon
from tests.support.programs import lack

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
MISSING = lack("nginx")
AROUND = """
daemon off;
user {user};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{site}
}}
"""


PORTS = range(10_000, 32_000)
"""Below the ports that the system gives to clients and to servers without a port of their own."""

_taken = count()


def free_port() -> int:
    """Return a port that no other test is given meanwhile: each process begins elsewhere."""
    while True:
        port = PORTS[(os.getpid() * 101 + next(_taken)) % len(PORTS)]
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def location(port: int, content: str) -> str:
    """Return the configuration of a site with one location for every path."""
    return f"server {{ listen 127.0.0.1:{port}; {content} }}"


@contextmanager
def nginx(directory: Path, port: int, site: str) -> Iterator[str]:
    """Run nginx with a site that listens on a port of this machine. Yield its address."""
    assert NGINX is not None
    user = pwd.getpwuid(os.getuid()).pw_name  # the only user who may read the directories of a test
    file = directory / "nginx.conf"
    file.write_text(AROUND.format(directory=directory, user=user, site=site))
    process = subprocess.Popen([NGINX, "-p", str(directory), "-c", str(file)], stderr=subprocess.DEVNULL)
    with listening(process, port, directory / "error.log") as url:
        yield url


@contextmanager
def listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> Iterator[str]:
    """Yield the address of a proxy once it listens, and end it afterwards. Its log says why it ended early."""
    try:
        for _ in soon():
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()

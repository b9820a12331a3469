"""The programs of others that tests use, and their packages in Debian.

Only the standard library is imported: the gate reads this before anything is installed.
"""

PACKAGES = {
    "apparmor_parser": "apparmor",
    "bwrap": "bubblewrap",
    "caddy": "caddy",
    "chromium": "chromium",
    "curl": "curl",
    "faketime": "libfaketime",
    "go": "golang-go golang-gopkg-validator.v2-dev",
    "haproxy": "haproxy",
    "java": "default-jre-headless",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "pgbouncer": "pgbouncer",
    "promtool": "promtool",
    "psql": "postgresql",
    "strace": "strace",
    "systemd-analyze": "systemd",
}
"""Packages by the program."""

FILES = {"faketime": "/usr/lib/*/faketime/libfaketime.so.1", "psql": "/usr/lib/postgresql/*/bin"}
"""What tests look for in place of a program in the PATH."""

INSTALLED = (
    *("apparmor_parser", "bwrap", "caddy", "chromium", "faketime", "haproxy", "nginx", "npm", "pgbouncer", "promtool"),
    *("strace", "systemd-analyze"),
)
"""The programs that the gate installs."""

if __name__ == "__main__":  # for .ci/bare
    print(*PACKAGES)

"""Made-up secrets of every shape that is hidden; none of them was ever good for anything."""

BLOCK = "MIIEpAIBAAKCAQEA75x0Uo3P2mYl4V9sT1bKq8nR6wZcD+/aE0fGhJkLmNoPq"

# Assembled here, so that a scanner of repositories does not take them for real ones.
SECRETS: tuple[str, ...] = (
    "ath_" + "01JCANARY00000000000000000_" + "Canary0123456789abcdefghijklmnopqrstuvw-_xy",
    "sk-" + "canary0123456789abcdefghij",
    "sk-" + "proj-Canary_0123456789-abcdefghij",
    "sk-" + "ant-api03-Canary0123456789abcdefghij",
    "sk_" + "live_0123456789abcdefCANARY",
    "rk_" + "test_0123456789abcdefCANARY",
    *(f"gh{kind}_" + "Canary0123456789abcdefghijklmnopqrstuv" for kind in "pousr"),
    "github_" + "pat_11CANARY0_0123456789abcdefghij",
    "gl" + "pat-Canary0123456789abcd",
    "AKIA" + "CANARY0123456789",
    "ASIA" + "CANARY0123456789",
    "AIza" + "SyCanary0123456789-abcdefghijklmnop_",
    "xox" + "b-012345678901-Canary0123456789",
    "hf_" + "Canary0123456789abcdefghijklmnop",
    "npm_" + "Canary0123456789abcdefghijklmnopqrst",
    "pypi-" + "AgEIcHlwaS5vcmcCanary0123456789-abcdefghijklmnopqrstuvwxyz",
    "Bearer " + "canary.0123456789/abcdef+ghij==",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiJjYW5hcnkifQ.Q2FuYXJ5MDEyMzQ1Njc4OQ",
    f"-----BEGIN RSA PRIVATE KEY-----\n{BLOCK}\n{BLOCK}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN OPENSSH PRIVATE KEY-----\\n{BLOCK}\\n-----END OPENSSH PRIVATE KEY-----",
    f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{BLOCK}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----",
)

TELLING = ("canary", BLOCK[:20].lower(), "zdWIiOiJjYW5hcnkifQ".lower())
"""The text in each of them; no other text of a test may hold it."""


def told(text: bytes) -> str | None:
    """Return the part of a secret that a text reveals, with its surroundings."""
    lower = text.lower()
    for word in TELLING:
        place = lower.find(word.encode())
        if place >= 0:
            return text[max(place - 100, 0) : place + 100].decode(errors="replace")
    return None

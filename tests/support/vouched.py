"""Settings of a server with authentication, whose tests run commands without a sandbox.

Such a server refuses their profiles, unless clients of this machine prove by a secret that they are its proxy. Clients
of ``Server`` and ``Inside`` do.
"""

VOUCHED = {"auth_enabled": "true", "auth_proxy_secret": "the-secret-of-the-proxy-of-the-tests"}

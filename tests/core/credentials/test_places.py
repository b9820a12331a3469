"""The hosts that a credential covers, and the place of the secret in a request."""

import pytest

from athena_core.credentials.host_pattern import SHARED, BadHost, HostPattern, normal
from athena_core.credentials.template import RESERVED, BadTemplate, Template, TemplateConflict

SECRET = "a b&c=d/e%+?#"


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port", "covered"),
    [
        ("api.example.org", "https", "api.example.org", 443, True),
        ("API.example.ORG.", "https", "api.example.org", 443, True),
        ("api.example.org", "https", "api.example.org", 8443, False),
        ("api.example.org", "http", "api.example.org", 80, True),
        ("api.example.org", "http", "api.example.org", 443, False),
        ("api.example.org", "ftp", "api.example.org", 443, False),
        ("api.example.org", "https", "xapi.example.org", 443, False),
        ("api.example.org", "https", "api.example.org.evil.org", 443, False),
        ("api.example.org:8443", "https", "api.example.org", 8443, True),
        ("api.example.org:8443", "https", "api.example.org", 443, False),
        ("*.example.org", "https", "a.example.org", 443, True),
        ("*.example.org", "https", "a.b.example.org", 443, True),
        ("*.example.org", "https", "example.org", 443, False),
        ("*.example.org", "https", "evilexample.org", 443, False),
        ("*.example.org", "https", ".example.org", 443, False),
        ("192.0.2.1", "https", "192.0.2.1", 443, True),
        ("192.0.2.1", "https", "192.0.2.10", 443, False),
        ("[2001:DB8:0::1]", "https", "[2001:db8::1]", 443, True),
        ("[2001:db8::1]", "https", "2001:db8::1", 443, True),
        ("xn--bcher-kva.example", "https", "XN--bcher-kva.example", 443, True),
    ],
)
def test_hosts_are_compared_exactly(pattern: str, scheme: str, host: str, port: int, covered: bool) -> None:
    found = normal(host)
    assert (found is not None and HostPattern.parse(pattern).covers(scheme, found, port)) == covered


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "-a", "a-.b.", "a b", "a:b", "a:", "a:99999", "a:-1", "a:١", "127.1", "0x7f000001", "017.0.0.1.",
     "1.2.3", "1.2.3.4.5", "256.0.0.1", "[::1", "::1", "[::g]", "[fe80::1%eth0]", "[1.2.3.4]", "*.", "**.a.b", "*a.b.c",
     "*.a", "a/b", "a@b", "a?b", "a#b", "a\\b", "a\tb", "x" * 64 + ".org", "a." * 126 + "abc", "ﬁ.org", "a。b"],
)  # fmt: skip
def test_a_name_that_a_resolver_could_read_as_an_address_is_refused(text: str) -> None:
    with pytest.raises(BadHost) as raised:
        HostPattern.parse(text)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize("host", [*sorted(SHARED), "co.uk", "com.au", "ac.jp", "gov.in", "org.br"])
def test_all_names_below_a_shared_domain_are_too_many(host: str) -> None:
    with pytest.raises(BadHost, match="other owners"):
        HostPattern.parse(f"*.{host}")
    assert HostPattern.parse(f"*.mine.{host}").below
    assert not HostPattern.parse(f"mine.{host}").below


def test_a_header_carries_the_secret_as_it_is() -> None:
    template = Template.of_header("Authorization: Bearer {secret}")
    sent = {"accept": "*/*"}
    assert template.apply(SECRET, sent, "/x?a=1") == ({**sent, "authorization": f"Bearer {SECRET}"}, "/x?a=1")
    assert sent == {"accept": "*/*"}
    with pytest.raises(TemplateConflict, match="'authorization'"):
        template.apply(SECRET, {"AUTHORIZATION": "x"}, "/")


@pytest.mark.parametrize("path", ["/", "/?", "/x?a=1", "/x?a=1&b=2"])
def test_a_parameter_carries_the_secret_encoded_at_the_end(path: str) -> None:
    template = Template.of_query("key=v1-{secret}")
    start, _, query = path.partition("?")
    encoded = "key=v1-a%20b%26c%3Dd%2Fe%25%2B%3F%23"
    headers, found = template.apply(SECRET, {"a": "b"}, path)
    assert (headers, found) == ({"a": "b"}, f"{start}?{query}{'&' if query else ''}{encoded}")


@pytest.mark.parametrize("query", ["key=1", "a=1&key=2", "key", "KEY=1", "k%65y=1", "a=1;key=2", "%6bey"])
def test_a_parameter_that_is_there_already_is_refused(query: str) -> None:
    with pytest.raises(TemplateConflict, match="'key'"):
        Template.of_query("key={secret}").apply(SECRET, {}, f"/?{query}")


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Proxy-Authorization", "Sec-Fetch-Site", "X-Forwarded-For"])
def test_headers_of_the_request_itself_are_reserved(name: str) -> None:
    with pytest.raises(BadTemplate, match="names a header"):
        Template.of_header(f"{name.title()}: {{secret}}")


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-Api-Key", "PRIVATE-TOKEN", "Api_Key"])
def test_other_headers_are_allowed(name: str) -> None:
    assert Template.of_header(f"{name}: {{secret}}").header == name.lower()

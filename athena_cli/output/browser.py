"""The browser of the person at the terminal."""

from contextlib import suppress


def open_browser(url: str) -> None:
    """Open a page in a browser with a window, if one is installed. A browser of the terminal would take the keys."""
    import webbrowser

    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        if type(browser) is not webbrowser.GenericBrowser:
            browser.open(url)

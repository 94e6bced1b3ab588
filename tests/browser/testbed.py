"""The testbed's console page talks to its WebSockets, in a real browser.

    testbed.py PROGRAM DIRECTORY

What is shared with the chat's checks (the server process, the browser, waiting) is in chat.py.
"""

import signal
import sys
import tempfile
from pathlib import Path

from selenium.webdriver.common.by import By

from chat import Failure, Server, expect, start_browser, wait_for


class Console:
    """The page's form and log."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)
        wait_for("the page is there", lambda: browser.find_elements(By.ID, "log"))

    def log(self):
        return self.browser.find_element(By.ID, "log").text

    def connect(self, path):
        field = self.browser.find_element(By.ID, "path")
        field.clear()
        field.send_keys(path)
        self.browser.find_element(By.CSS_SELECTOR, "#connect button").click()

    def send(self, text):
        self.browser.find_element(By.ID, "text").send_keys(text)
        self.browser.find_element(By.CSS_SELECTOR, "#send button").click()

    def wait_for(self, text):
        wait_for(f"the log shows {text!r}", lambda: text in self.log())


def run(browser, url):
    console = Console(browser, url)
    console.connect("/ws")
    console.wait_for("open")
    console.send("Grüße, 🦀!")
    console.wait_for("< Grüße, 🦀!")
    console.browser.find_element(By.ID, "close").click()
    console.wait_for("closed 1000")
    expect("the closing handshake was clean", "not clean" not in console.log())
    console.connect("/close?code=4001&reason=moved")
    console.wait_for("closed 4001 moved")
    console.connect("/deny")
    console.wait_for("closed 1006")
    console.connect("/origin")
    console.wait_for(f"connecting to {url.replace('http', 'ws').rstrip('/')}/origin\nopen")
    console.connect("/flood?n=50&size=100000")
    wait_for("all messages of the flood", lambda: console.log().count("< 100000 bytes") == 50)


def main():
    program, directory = sys.argv[1], Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        server = Server(program)
        server.start()
        browser = None
        try:
            browser = start_browser(profile)
            run(browser, f"http://{server.address}/")
            browser.save_screenshot(str(directory / "testbed.png"))
        finally:
            if browser:
                browser.quit()
            ended = server.end(signal.SIGTERM)
    expect("the testbed ends well", ended == 0)
    print("the testbed's page: every check holds")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"tests/browser: {failure}")

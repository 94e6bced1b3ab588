"""The testbed's console page talks to its WebSockets, in a real browser; and the browser's own
permessage-deflate to ours.

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


# Echoes of texts and bytes, compressible and not, of many sizes and many times over: what came
# back otherwise, and what was agreed.
ECHO = """
const [address, done] = arguments;
const noise = new Uint8Array(1 << 20), sizes = [0, 1, 127, 128, 129, 1000, 65535, 65536, 1 << 20];
for (let at = 0; at < noise.length; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536));
const sent = [];
for (const size of sizes) {
  const text = 'Grüße, 🦀! '.repeat(size).slice(0, size).toWellFormed();
  sent.push(text, new Uint8Array(size), noise.slice(0, size));
}
for (let n = 0; n < 500; n++) {
  sent.push(`message ${n} of many that are much alike, `.repeat(1 + n % 20));
  if (n % 5 === 0) sent.push(noise.slice(n * 100, n * 100 + 300));
}
const socket = new WebSocket(address), wrong = [];
socket.binaryType = 'arraybuffer';
let received = 0;
const same = (a, b) => typeof a === 'string' ? a === b
  : b instanceof ArrayBuffer && a.length === b.byteLength
    && new Uint8Array(b).every((byte, at) => byte === a[at]);
socket.onopen = () => sent.forEach((message) => socket.send(message));
socket.onmessage = ({ data }) => {
  if (!same(sent[received], data)) wrong.push(received);
  if (++received === sent.length) socket.close(1000);
};
socket.onclose = ({ code, wasClean }) => done({
  code, wasClean, wrong, received, sent: sent.length, extensions: socket.extensions,
});
"""


def compression(browser, program, flag, agreed):
    """What a server with this flag and the browser agree to, and that every message survives it."""
    server = Server(program, *flag)
    server.start()
    try:
        browser.get(f"http://{server.address}/")
        told = browser.execute_async_script(ECHO, f"ws://{server.address}/ws")
        # As the field Sec-WebSocket-Extensions of the 101 has it.
        expect(f"{flag} agrees to {agreed!r} ({told})", told["extensions"] == agreed)
        expect(f"every message comes back ({told})", told["received"] == told["sent"])
        expect(f"as it was ({told})", told["wrong"] == [])
        expect(f"the end is clean ({told})", told["wasClean"] and told["code"] == 1000)
    finally:
        ended = server.end(signal.SIGTERM)
    expect("the testbed ends well", ended == 0)


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
            none = "; server_no_context_takeover; client_no_context_takeover"
            compression(browser, program, [], "")
            compression(browser, program, ["--deflate"], "permessage-deflate" + none)
            compression(browser, program, ["--deflate=takeover"], "permessage-deflate")
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

"""Tabs of the chat example exchange messages, in a real browser.

    chat.py PROGRAM DIRECTORY

Starts PROGRAM (the built example) on a free port and headless Chromium; leaves pictures of the
page in DIRECTORY. Ends with 0 if every check passed. `run.sh` prepares all that it needs.

Nothing here sleeps for a guessed time: `wait_for` looks again and again, up to a deadline.
"""

import http.client
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# What is local stays local: no proxy between us and the driver, and no looking for another one.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.environ["SE_OFFLINE"] = os.environ["SE_AVOID_STATS"] = "true"

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

DEADLINE = 90  # seconds for each condition; the page waits at most 10 between two tries
WHOLE_RUN = 300  # seconds
CHROMIUM_FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --no-proxy-server
    --window-size=900,700
""".split()


class Failure(Exception):
    """A check failed, or something could not be run."""


def wait_for(what, condition):
    """Looks until the condition gives something true, which it returns."""
    until = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise Failure(f"after {DEADLINE} s still not so: {what}")
        time.sleep(0.05)


def expect(what, holds):
    if not holds:
        raise Failure(f"not so: {what}")


class Server:
    """The chat (or another example), as a process of its own."""

    def __init__(self, program, *flags):
        self.program, self.flags = program, flags
        self.port = 0
        self.process = None
        self.lines = []

    def start(self):
        """Starts it: at first on a free port, later on the same one."""
        command = [self.program, "--port", str(self.port), *self.flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        told = queue.SimpleQueue()
        reader = threading.Thread(target=self._read, args=(self.process.stderr, told), daemon=True)
        reader.start()
        until = time.monotonic() + DEADLINE
        while True:
            try:
                line = told.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                raise Failure(f"the server did not say within {DEADLINE} s that it is ready") from None
            if line is None:
                raise Failure(f"the server ended with {self.process.wait()}")
            if ready := re.search(r"(?:open|on) http://127\.0\.0\.1:(\d+)", line):
                self.port = int(ready[1])
                return

    def _read(self, stderr, told):
        for line in stderr:
            self.lines.append(line.rstrip())
            told.put(line)
        told.put(None)

    def end(self, how):
        self.process.send_signal(how)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"the server lives {DEADLINE} s after {how.name}") from None

    def clean_up(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class Tab:
    """One tab of the browser with the chat in it."""

    def __init__(self, driver, server, name, room):
        driver.switch_to.new_window("tab")
        self.driver, self.handle, self.name = driver, driver.current_window_handle, name
        driver.get(f"http://{server.address}/")
        self.type("name", name)
        self.type("room", room)
        self.click("enter")
        # Survives a reconnect, but no reload.
        self.js("window.neverReloaded = true")
        self.wait("it is connected", lambda: self.state() == "open")

    def look(self):
        self.driver.switch_to.window(self.handle)

    def js(self, script):
        self.look()
        return self.driver.execute_script(script)

    def wait(self, what, condition):
        return wait_for(f"{self.name}: {what}", condition)

    def find(self, element_id):
        self.look()
        return self.driver.find_element(By.ID, element_id)

    def type(self, element_id, text):
        field = self.find(element_id)
        field.clear()
        field.send_keys(text)

    def click(self, element_id):
        self.find(element_id).click()

    def state(self):
        return self.js("return document.getElementById('state').dataset.state")

    def people(self):
        return self.js("return [...document.querySelectorAll('#people li')].map(li => li.textContent)")

    def notices(self):
        return self.js("return [...document.querySelectorAll('#log .notice')].map(li => li.textContent)")

    def said(self):
        """All that was said, as [name, text]."""
        return self.js(
            "return [...document.querySelectorAll('#log .said')].map("
            "  li => ['.by', '.text'].map(part => li.querySelector(part).textContent))"
        )

    def say(self, text):
        """Says it, and waits until it has come back."""
        self.type("text", text)
        self.click("send")
        self.sees(self.name, text)

    def sees(self, name, text):
        self.wait(f"{name} said {text!r}", lambda: [name, text] in self.said())

    def picture(self, path):
        self.look()
        self.driver.save_screenshot(str(path))


class Checks:
    """The checks, in the order in which they run; each goes on from what the one before left."""

    def __init__(self, server, driver, directory):
        self.server, self.driver, self.directory = server, driver, directory

    def two_tabs_see_each_other(self):
        self.ann = Tab(self.driver, self.server, "Ann", "kitchen")
        self.bob = Tab(self.driver, self.server, "Bob", "kitchen")
        self.ann.wait("Bob joined", lambda: "Bob joined." in self.ann.notices())
        for tab in (self.ann, self.bob):
            tab.wait("both are listed", lambda tab=tab: tab.people() == ["Ann", "Bob"])
        self.ann.say("Hello, Bob!")
        self.bob.sees("Ann", "Hello, Bob!")
        self.bob.say("Hello, Ann! Grüße, 你好")
        self.ann.sees("Bob", "Hello, Ann! Grüße, 你好")

    def another_room_hears_nothing(self):
        self.carol = Tab(self.driver, self.server, "Carol", "garden")
        self.ann.say("Is Carol here?")
        self.bob.sees("Ann", "Is Carol here?")
        # Her own words come back behind everything that was said before.
        self.carol.say("Nobody here.")
        expect("Carol hears herself only", self.carol.said() == [["Carol", "Nobody here."]])
        expect("Carol is alone", self.carol.people() == ["Carol"])
        expect("nobody hears Carol", ["Carol", "Nobody here."] not in self.ann.said() + self.bob.said())

    def a_taken_name_gets_a_number(self):
        other = Tab(self.driver, self.server, "Bob", "kitchen")
        other.wait("it is Bob 2", lambda: other.people() == ["Ann", "Bob", "Bob 2"])
        other.click("leave")
        self.ann.wait("Bob 2 left", lambda: "Bob 2 left." in self.ann.notices())
        self.ann.wait("he is off the list", lambda: self.ann.people() == ["Ann", "Bob"])

    def markup_stays_text(self):
        markup = "<img src=x onerror=\"document.title = 'run'\"> & <b>bold</b>"
        mallory = Tab(self.driver, self.server, "<u>Mallory</u>", "kitchen")
        mallory.say(markup)
        self.ann.sees("<u>Mallory</u>", markup)
        made = self.ann.js("return document.querySelectorAll('#room-view :is(img, b, u)').length")
        expect("markup made no element", made == 0)
        # A tab that is closed has left as well.
        mallory.look()
        self.driver.close()
        self.ann.wait("Mallory left", lambda: "<u>Mallory</u> left." in self.ann.notices())

    def a_phone_shows_all_of_it(self):
        self.bob.say("w" * 200)
        self.ann.sees("Bob", "w" * 200)
        self.ann.say("One tab on the phone, one on the desk.")
        self.bob.picture(self.directory / "desk.png")
        phone = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}
        self.ann.look()
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        self.ann.wait("it is narrow", lambda: self.ann.js("return innerWidth") == 360)
        wide = self.ann.js("return document.documentElement.scrollWidth")
        below = self.ann.js("return document.getElementById('send').getBoundingClientRect().bottom")
        last = "return document.querySelector('#log li:last-child').getBoundingClientRect().bottom"
        self.ann.wait("the last line is in sight", lambda: self.ann.js(last) < 640)
        self.ann.picture(self.directory / "phone.png")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        expect(f"nothing is wider than the screen ({wide} > 360)", wide <= 360)
        expect(f"the button is on the screen ({below} > 640)", below <= 640)

    def the_page_comes_back_after_a_restart(self):
        expect("SIGTERM ends the server well", self.server.end(signal.SIGTERM) == 0)
        self._lost_and_back("restart")

    def the_page_comes_back_after_a_crash(self):
        # A connection that has lasted: the delays begin with the shortest.
        lasted = "return me !== null && Date.now() - joinedAt > LASTING"
        self.ann.wait("it has been connected for a while", lambda: self.ann.js(lasted))
        self.ann.js(
            "const Original = window.WebSocket; window.tries = [];"
            "window.WebSocket = function (url) { tries.push(Date.now()); return new Original(url); }"
        )
        self.server.end(signal.SIGKILL)
        tries = self.ann.wait("it has tried four times", lambda: self.ann.js("return tries[3] && tries"))
        delays = [after - before for before, after in zip(tries, tries[1:])]
        expect(f"the delays grow: {delays} ms", delays[2] > delays[0])
        self._lost_and_back("crash")

    def _lost_and_back(self, what):
        tabs = (self.ann, self.bob)
        for tab in tabs:
            tab.wait("it waits", lambda tab=tab: tab.state() == "waiting")
            expect("Send is off", not tab.find("send").is_enabled())
        self.ann.picture(self.directory / f"{what}.png")
        self.ann.type("text", f"typed before the {what}")
        self.server.start()
        for tab in tabs:
            tab.wait("it is connected again", lambda tab=tab: tab.state() == "open")
        for tab in tabs:
            tab.wait("both are listed", lambda tab=tab: tab.people() == ["Ann", "Bob"])
            expect("it was not reloaded", tab.js("return window.neverReloaded"))
        # What was typed meanwhile is still there to be sent.
        self.ann.click("send")
        self.bob.sees("Ann", f"typed before the {what}")
        self.bob.say(f"back from the {what}")
        self.ann.sees("Bob", f"back from the {what}")

    def pages_of_others_are_refused(self):
        server = self.server.address
        expected = {f"http://{server}": 101, "http://example.org": 403, f"http://{server}.example.org": 403,
                    "null": 403, None: 403}
        for origin, status in expected.items():
            got = handshake(server, origin)
            expect(f"Origin {origin} gets {status} (got {got})", got == status)
        # The same from a page of another origin, in the browser.
        self.driver.switch_to.new_window("tab")
        self.driver.get("data:text/html,<title>elsewhere</title>")
        outcome = self.driver.execute_async_script(
            "const done = arguments[1], socket = new WebSocket(arguments[0]);"
            "socket.onopen = () => done('open'); socket.onerror = () => done('refused');",
            f"ws://{server}/chat",
        )
        expect(f"a page from elsewhere is refused ({outcome})", outcome == "refused")

    def no_script_failed(self):
        entries = self.driver.get_log("browser")
        failed = [entry["message"] for entry in entries if entry["source"] == "javascript"]
        expect(f"no script failed: {failed}", not failed)


def handshake(address, origin):
    """The status of the answer to an opening handshake."""
    fields = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    if origin is not None:
        fields["Origin"] = origin
    connection = http.client.HTTPConnection(address, timeout=DEADLINE)
    try:
        connection.request("GET", "/chat", headers=fields)
        return connection.getresponse().status
    finally:
        connection.close()


def start_browser(profile):
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        raise Failure("chromium or chromedriver is missing; run.sh installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in CHROMIUM_FLAGS + [f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    except WebDriverException as error:
        raise Failure(f"the browser does not start: {error.msg}") from None
    driver.set_page_load_timeout(DEADLINE)
    driver.set_script_timeout(DEADLINE)
    return driver


def tell_what_was_seen(checks):
    """After a failure: what every tab shows."""
    for handle in checks.driver.window_handles:
        checks.driver.switch_to.window(handle)
        print(f"--- {checks.driver.current_url}\n{checks.driver.find_element(By.TAG_NAME, 'body').text}")
        checks.driver.save_screenshot(str(checks.directory / f"failed-{handle[:8]}.png"))
    print("--- the server\n" + "\n".join(checks.server.lines))


def run_checks(checks):
    passed = 0
    for name, check in vars(Checks).items():
        if name.startswith("_"):
            continue
        began = time.monotonic()
        try:
            check(checks)
        except (Failure, WebDriverException, OSError) as error:
            print(f"FAILED {name}: {error}")
            try:
                tell_what_was_seen(checks)
            except WebDriverException as error:
                print(f"the browser does not answer: {error.msg}")
            print(f"{passed} passed, 1 failed")
            return False
        passed += 1
        print(f"ok {name} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{passed} passed, 0 failed")
    return True


def stop_early(number, _frame):
    # An exception, so that everything that was started is ended on the way out.
    sys.exit(f"tests/browser: stopped by {signal.Signals(number).name} (a run may take {WHOLE_RUN} s)")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, directory = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, stop_early)
    signal.alarm(WHOLE_RUN)
    server, driver = Server(program), None
    with tempfile.TemporaryDirectory(prefix="chat-browser-", ignore_cleanup_errors=True) as profile:
        try:
            server.start()
            driver = start_browser(profile)
            good = run_checks(Checks(server, driver, directory))
        except (Failure, OSError) as error:
            sys.exit("\n".join([f"tests/browser: {error}", *server.lines]))
        finally:
            if driver is not None:
                driver.quit()
            server.clean_up()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

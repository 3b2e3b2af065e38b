"""A headless Firefox, spoken to in Marionette, its own protocol: a socket, and JSON with its length in front. Needs no driver."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

BROWSERS = "firefox-esr", "firefox"
LEFT = "\ue012"  # the arrow key, as WebDriver writes it
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # as WebDriver names one
PREFERENCES = {
    "marionette.port": 0,
    "app.update.auto": False,
    "browser.shell.checkDefaultBrowser": False,
}


def firefox():
    """The path of a Firefox, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def opened(profile, patience=90):
    """A function that asks this Firefox for a command, with its parameters, and returns the answer. profile: an empty folder."""
    lines = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in PREFERENCES.items()
    ]
    (profile / "user.js").write_text("\n".join(lines), "utf-8")
    command = [firefox(), "--headless", "--marionette", "--no-remote", "--profile", profile]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = profile / "MarionetteActivePort"
        until = time.monotonic() + patience
        while not (port.exists() and port.read_text()):
            assert process.poll() is None and time.monotonic() < until, "Firefox did not start"
            time.sleep(0.1)
        with socket.create_connection(
            ("127.0.0.1", int(port.read_text())), timeout=patience
        ) as talk:
            stream = talk.makefile("rb")
            read(stream)  # its greeting

            def ask(name, **parameters):
                text = json.dumps([0, 1, f"WebDriver:{name}", parameters]).encode()
                talk.sendall(b"%d:%s" % (len(text), text))
                _, _, error, answer = read(stream)
                assert error is None, error
                return answer

            ask("NewSession")
            yield ask
    finally:
        process.terminate()
        process.wait()


def read(stream):
    """The next message."""
    length = b""
    while (sign := stream.read(1)) != b":":
        assert sign, "Firefox has gone"
        length += sign
    return json.loads(stream.read(int(length)))


def evaluate(ask, script, patience=90):
    """What a script returns, once it is not false."""
    until = time.monotonic() + patience
    while not (value := ask("ExecuteScript", script=script, args=[])["value"]):
        assert time.monotonic() < until, f"still false: {script}"
        time.sleep(0.1)
    return value


def press(ask, selector, key):
    """Presses a key on an element."""
    found = ask("FindElement", using="css selector", value=selector)["value"]
    ask("ElementSendKeys", id=found[ELEMENT], text=key)

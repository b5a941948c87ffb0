"""Why a server could not be reached, in words: real connections that fail in each way."""

import socket
import threading

import pytest
import requests

from connector.errors import Unavailable
from connector.providers.http import Rest
from connector.reach import trouble


@pytest.fixture
def port():
    """A port where somebody accepts connections, and says what the test wants: `port(b"...")`, or hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))
    says = []

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if says[0] is None:
                connection.recv(1000)
                threading.Event().wait(1)
            elif says[0]:
                connection.sendall(says[0])
            connection.close()

    def start(words):
        says.append(words)
        threading.Thread(target=serve, daemon=True).start()
        return listening.getsockname()[1]

    yield start
    listening.close()


def said(url):
    with pytest.raises(requests.RequestException) as caught:
        requests.get(url, timeout=0.3, headers={"x": "y"})
    return trouble(url, caught.value, "look there")


def test_nobody_listens():
    told = said("http://127.0.0.1:9/users?email=ada@example.com")
    assert told == "http://127.0.0.1:9 cannot be reached (connection refused): look there"


def test_no_such_host():
    assert said("http://nowhere.invalid/users/ada") == "http://nowhere.invalid cannot be reached (no such host): look there"


def test_a_host_that_cannot_be():
    """A tenant's domain with a dot too many, say."""
    with pytest.raises(Unavailable) as caught:
        Rest("members", "https://a..b/api", None).call("read", "GET", "/users")
    way_out = "look at the addresses under providers.members and the network"
    assert str(caught.value) == f"members: https://a..b cannot be reached (no such host): {way_out}"


def test_no_answer(port):
    one = port(None)
    assert said(f"http://127.0.0.1:{one}/") == f"http://127.0.0.1:{one} does not answer in time: look there"


def test_a_server_that_hangs_up(port):
    one = port(b"")
    assert said(f"http://127.0.0.1:{one}/") == f"http://127.0.0.1:{one} broke the connection off: look there"


def test_a_server_without_tls(port):
    one = port(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert said(f"https://127.0.0.1:{one}/").startswith(f"https://127.0.0.1:{one} cannot be reached (TLS: ")


def test_credentials_and_path_are_left_out():
    error = requests.ConnectionError("http://joe:hush@host.test/ada")
    assert trouble("http://joe:hush@host.test/ada", error, "x") == "http://host.test cannot be reached (no connection): x"

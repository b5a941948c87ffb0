"""Putting an app on a port."""

import socket
import subprocess
import sys

import pytest
import requests

from connector.sandbox.portal import Portal
from connector.sandbox.server import serve


def test_a_stopped_server_is_gone_and_its_port_free():
    with serve(Portal().app) as server:
        assert requests.get(server.url, timeout=5).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)
    server.stop()
    port = int(server.url.rsplit(":", 1)[1])
    with serve(Portal().app, port=port) as again:
        assert again.url == server.url


def test_two_servers_live_side_by_side():
    with serve(Portal(portal_id=1).app) as one, serve(Portal(portal_id=2).app) as two:
        assert ["account 1" in requests.get(one.url, timeout=5).text, "account 2" in requests.get(two.url, timeout=5).text]


def test_a_taken_port_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(Portal().app, port=taken.getsockname()[1])


def test_in_the_foreground_it_says_when_it_is_ready_and_ends_on_interrupt():
    program = (
        "from connector.sandbox import portal, server;"
        "server.run(portal.Portal().app, '127.0.0.1', 0, lambda url: print(url, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        assert requests.get(url, timeout=5).status_code == 200
        process.terminate()
        process.wait(10)

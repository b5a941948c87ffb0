"""A place that takes batches like Segment's tracking API, on a real port."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Collector:
    """Keeps what it accepts.

    answers: statuses of the next requests, before anything is kept; with headers as (status, {name: value}).
    refuses: messageIds for which a whole batch is answered 400. deletes: the answer to batches with a delete.
    requests: (path, Authorization, body) of all that came.
    """

    def __init__(self):
        self.answers = []
        self.refuses = set()
        self.deletes = 200
        self.requests = []
        self.messages = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def take(self, path, authorization, body):
        """Answer one request: a status and headers."""
        self.requests.append((path, authorization, body))
        if self.answers:
            answer = self.answers.pop(0)
            return answer if isinstance(answer, tuple) else (answer, {})
        batch = json.loads(body)["batch"]
        if any(message["messageId"] in self.refuses for message in batch):
            return 400, {}
        if self.deletes != 200 and any(message["type"] == "delete" for message in batch):
            return self.deletes, {}
        self.messages += batch
        return 200, {}

    def _handler(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = collector.take(self.path, self.headers["Authorization"], body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *told):
                pass

        return Handler

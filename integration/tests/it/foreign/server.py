"""Python's http.server as a peer: files, and the body of a POST given back.

server.py HTTP/1.0|HTTP/1.1 ADDRESS PORT DIRECTORY
"""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Handler(SimpleHTTPRequestHandler):
    # It writes head and body apart, and Nagle would have the second wait for the first's acknowledgement.
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


version, address, port, directory = sys.argv[1:]
Handler.protocol_version = version
Server((address, int(port)), functools.partial(Handler, directory=directory)).serve_forever()

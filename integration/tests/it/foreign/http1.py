"""Python's http.client as a peer: requests on a kept connection, then pipelined ones.

http1.py ADDRESS PORT prints how many replies of /bin it has read
"""

import http.client
import io
import json
import socket
import sys

address, port = sys.argv[1], int(sys.argv[2])
PATTERN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
read = 0


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def kept():
    global read
    connection = http.client.HTTPConnection(address, port, timeout=15)
    connection.connect()
    first = connection.sock
    for size in [1, 1024, 65535, 65536, 1 << 20]:
        for query in ["", "?chunked=true"]:
            connection.request("GET", f"/bin/{size}{query}")
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, pattern(size)), (size, query)
            read += 1
    connection.request("HEAD", "/bin/5000")
    response = connection.getresponse()
    assert (response.read(), response.headers["content-length"]) == (b"", "5000")
    read += 1
    for status in [204, 205, 304, 404, 503]:
        connection.request("GET", f"/status/{status}")
        response = connection.getresponse()
        body = response.read()
        assert response.status == status and (status >= 400 or not body), (status, body)
    for body in [b"x" * 100_000, iter([b"x" * 50_000] * 2)]:
        connection.request("POST", "/upload", body)
        assert json.load(connection.getresponse())["bytes_received"] == 100_000
    value = "v" * 40_000
    connection.request("GET", "/", headers={"x-large": value})
    assert value in connection.getresponse().read().decode()
    # http.client opens another connection by itself when the server has closed one.
    assert connection.sock is first, "the connection was not kept"
    connection.close()


class Replies(io.BufferedReader):
    """One reader for all replies: a reader of its own would keep what follows its reply."""

    def makefile(self, mode):
        return self

    def close(self):
        pass


def pipelined():
    global read
    sizes = [1 + (index * 997) % 20_000 for index in range(100)]
    with socket.create_connection((address, port), timeout=15) as stream:
        requests = "".join(f"GET /bin/{size} HTTP/1.1\r\nHost: test\r\n\r\n" for size in sizes)
        stream.sendall(requests.encode())
        replies = Replies(socket.SocketIO(stream, "r"))
        for size in sizes:
            response = http.client.HTTPResponse(replies)
            response.begin()
            assert (response.status, response.read()) == (200, pattern(size)), size
            read += 1


def old():
    """HTTP/1.0 has no chunks. Its connection ends after the reply, but for one with a length that asks to stay."""
    global read
    kept = {("", ""): 1, ("", "?chunked=true"): 1, ("Connection: keep-alive\r\n", ""): 2}
    for (field, query), count in kept.items():
        with socket.create_connection((address, port), timeout=15) as stream:
            replies = Replies(socket.SocketIO(stream, "r"))
            for _ in range(count):
                stream.sendall(f"GET /bin/1000{query} HTTP/1.0\r\nHost: test\r\n{field}\r\n".encode())
                response = http.client.HTTPResponse(replies)
                response.begin()
                assert (response.status, response.chunked) == (200, False), (field, query)
                assert response.read() == pattern(1000), (field, query)
                read += 1
            assert count == 2 or replies.read(1) == b"", "nothing has asked it to stay open"


kept()
pipelined()
old()
print(read)

"""Python's h2 as a peer: it judges what the server sends, and does what libraries for daily use hide.

h2_client.py SCENARIO ADDRESS PORT
"""

import json
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import GoAwayFrame, RstStreamFrame

scenario, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
PATTERN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
INITIAL_WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
TABLE = h2.settings.SettingCodes.HEADER_TABLE_SIZE
CANCEL = 8


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


class Stream:
    def __init__(self):
        self.status, self.body, self.ended, self.reset = None, bytearray(), False, None


class Connection:
    def __init__(self, settings=None, returns_window=True):
        self.socket = socket.create_connection((address, port), timeout=15)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings or {})
        self.streams, self.acknowledged, self.pings, self.goaway, self.closed = {}, 0, [], None, False
        self.returns_window = returns_window
        self.h2.initiate_connection()
        self.flush()

    def flush(self, more=b""):
        self.socket.sendall(self.h2.data_to_send() + more)

    def open(self, path, method="GET", fields=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=end)
        self.streams[stream] = Stream()
        self.flush()
        return stream

    def raw(self, frame):
        """Sends a frame that the library's own state does not learn of."""
        self.flush(frame)

    def until(self, condition):
        while not condition():
            data = self.socket.recv(65536)
            if not data:
                self.closed = True
                assert condition(), f"{scenario}: closed, GOAWAY {self.goaway}"
                return
            # A flow-control violation, or whatever else breaks the rules, is an exception here.
            for event in self.h2.receive_data(data):
                self.take(event)
            self.flush()

    def take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.ResponseReceived():
                stream.status = int(dict(event.headers)[b":status"])
            case h2.events.DataReceived():
                stream.body += event.data
                if self.returns_window and event.flow_controlled_length and not stream.ended:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                stream.reset = event.error_code
            case h2.events.SettingsAcknowledged():
                self.acknowledged += 1
            case h2.events.PingAckReceived():
                self.pings.append(event.ping_data)
            case h2.events.ConnectionTerminated():
                self.goaway = (event.error_code, event.last_stream_id)

    def whole(self, stream, size, status=200):
        self.until(lambda: self.streams[stream].ended)
        found = self.streams[stream]
        assert (found.status, bytes(found.body)) == (status, pattern(size)), (found.status, len(found.body))

    def bin(self, size):
        self.whole(self.open(f"/bin/{size}"), size)

    def echo(self, fields):
        stream = self.open("/", fields=fields)
        self.until(lambda: self.streams[stream].ended)
        return json.loads(self.streams[stream].body)

    def upload(self, size):
        stream = self.open("/upload", "POST", end=False)
        while size:
            self.until(lambda: self.h2.local_flow_control_window(stream) > 0)
            piece = min(size, self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            self.h2.send_data(stream, bytes(piece), end_stream=piece == size)
            self.flush()
            size -= piece
        self.until(lambda: self.streams[stream].ended)
        return json.loads(self.streams[stream].body)["bytes_received"]


def windows_of_one_byte():
    connection = Connection({INITIAL_WINDOW: 1})
    streams = [connection.open("/bin/300") for _ in range(3)]
    for stream in streams:
        connection.whole(stream, 300)


def a_window_of_zero():
    connection = Connection({INITIAL_WINDOW: 0}, returns_window=False)
    starved = connection.open("/bin/1000")
    empty = connection.open("/status/204")
    connection.until(lambda: connection.streams[starved].status and connection.streams[empty].ended)
    # What follows the answer to a PING was sent after it: there is no DATA before the window.
    connection.h2.ping(b"12345678")
    connection.flush()
    connection.until(lambda: connection.pings)
    assert not connection.streams[starved].body
    for opened in [1, 9, 990]:
        connection.h2.increment_flow_control_window(opened, starved)
        connection.flush()
        had = len(connection.streams[starved].body)
        connection.until(lambda: len(connection.streams[starved].body) == had + opened)
    connection.whole(starved, 1000)


def a_window_that_becomes_negative():
    connection = Connection({INITIAL_WINDOW: 20_000}, returns_window=False)
    stream = connection.open("/bin/30000")
    connection.until(lambda: len(connection.streams[stream].body) == 20_000)
    # All of it is used: 20,000 fewer leaves it at -19,990, and so it takes 19,991 for one byte (section 6.9.2).
    connection.h2.update_settings({INITIAL_WINDOW: 10})
    connection.flush()
    connection.until(lambda: connection.acknowledged == 2)
    connection.h2.increment_flow_control_window(19_990, stream)
    connection.h2.ping(b"12345678")
    connection.flush()
    connection.until(lambda: connection.pings)
    assert len(connection.streams[stream].body) == 20_000
    connection.h2.increment_flow_control_window(1, stream)
    connection.flush()
    connection.until(lambda: len(connection.streams[stream].body) == 20_001)
    connection.h2.update_settings({INITIAL_WINDOW: 65_535})
    connection.flush()
    connection.whole(stream, 30_000)


def large_heads_and_changing_tables():
    connection = Connection()
    for size in [4096, 0, 65_536, 100, 4096]:
        connection.h2.update_settings({TABLE: size})
        connection.flush()
        for _ in range(2):
            # One field that needs several frames; the rest repeats, which is what the tables are for.
            fields = [("x-large", "#" * 20_000), *((f"x-{index}", f"value {index}") for index in range(100))]
            echo = dict(map(tuple, connection.echo(fields)["headers_list"]))
            for name, value in fields:
                assert echo[name] == value, name
            connection.bin(1000)


def resets_in_every_state():
    connection = Connection()
    for _ in range(4):
        for path in ["/delay/60000", "/bin/100M", "/chunked/1000?delay=20"]:
            # Open: the request has not ended. Half closed: it has. Within the reply.
            for end, replied in [(False, False), (True, False), (True, True)]:
                stream = connection.open(path, "POST", end=end)
                if replied and not path.startswith("/delay"):
                    connection.until(lambda: connection.streams[stream].body)
                connection.h2.reset_stream(stream, CANCEL)
                connection.flush()
        # Within a body.
        stream = connection.open("/upload", "POST", end=False)
        connection.h2.send_data(stream, bytes(5000))
        connection.h2.reset_stream(stream, CANCEL)
        connection.flush()
        # Closed: the reply has ended, and the reset crosses it (section 5.1).
        stream = connection.open("/bin/10")
        connection.whole(stream, 10)
        connection.raw(RstStreamFrame(stream, error_code=CANCEL).serialize())
        connection.bin(1000)
    # The window of the connection has not leaked away with the streams: these fill it many times.
    assert connection.upload(3_000_000) == 3_000_000
    connection.bin(3_000_000)


def goaway_with_streams_in_flight():
    for within in [False, True]:
        # Windows for all of it: a server may close when it has sent everything, and then takes no more of them.
        connection = Connection({INITIAL_WINDOW: 1_000_000}, returns_window=False)
        connection.h2.increment_flow_control_window(5_000_000)
        streams = [connection.open("/bin/200000") for _ in range(5)]
        if within:
            connection.until(lambda: all(connection.streams[stream].body for stream in streams))
        # It names the last stream that the server opened: its own go on (section 6.8).
        connection.raw(GoAwayFrame(0, last_stream_id=0, error_code=0, additional_data=b"enough").serialize())
        for stream in streams:
            connection.whole(stream, 200_000)


def unknown_frames_and_settings_are_ignored():
    connection = Connection({0xFFF0: 7})
    stream = connection.open("/bin/300000")
    # The first is PRIORITY_UPDATE (RFC 9218 section 7.1); no document has the others.
    update = stream.to_bytes(4, "big") + b"u=1"
    for type_, number, body in [(0x10, 0, update), (0x42, 0, b"what it may be"), (0xFF, stream, bytes(9000))]:
        head = len(body).to_bytes(3, "big") + bytes([type_, 0xFF]) + number.to_bytes(4, "big")
        connection.raw(head + body)
        connection.h2.prioritize(stream, weight=256, exclusive=True)
        connection.h2.ping(b"12345678")
        connection.flush()
    connection.whole(stream, 300_000)
    connection.until(lambda: len(connection.pings) == 3)
    assert connection.pings == [b"12345678"] * 3


globals()[scenario]()
print("the end of the scenario")

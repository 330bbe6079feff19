//! What options accept, in words and with an example: the same for a value that can't be read and for one out of range.

use std::fmt;

use command_line::{Accepted, Refusal};

use super::PlanError;

/// See `--rate`.
pub(crate) const RATE: Accepted = Accepted {
    flag: "rate",
    values: "requests per second, a number from 0.001 to 100000000",
    example: "1000",
};
/// See `--threshold` of `compare`, which is another one than that of a run.
pub(crate) const COMPARE_THRESHOLD: Accepted =
    Accepted { flag: "threshold", values: crate::compare::bound::ACCEPTED, example: "nginx.p(99)<2ms" };
/// See `--stages`.
pub(crate) const STAGES: Accepted = Accepted {
    flag: "stages",
    values: "at most 1000 stages with commas, each a time, '@', and a rate per second or a ramp of two, or connections with \
             a 'c'",
    example: "10s@100,30s@100..1000,1m@1000",
};
/// See `--seed`.
pub(crate) const SEED: Accepted =
    Accepted { flag: "seed", values: "a whole number from 0 to 18446744073709551615", example: "42" };
/// See `--warmup`.
pub(crate) const WARMUP: Accepted = Accepted { flag: "warmup", values: TIME, example: "5s" };
/// See `--max-lag`.
pub(crate) const MAX_LAG: Accepted = Accepted { flag: "max-lag", values: TIME, example: "100ms" };
/// See `--coalesce`.
pub(crate) const COALESCE: Accepted = Accepted {
    flag: "coalesce",
    values: "a time above 0 and up to 100ms, such as 200us or 1ms, or a number of seconds",
    example: "1ms",
};
/// A load's `start` in a plan.
pub(crate) const START: Accepted = Accepted {
    flag: "start",
    values: "a time from 0 to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
    example: "10s",
};
/// A load's `name` in a plan.
pub(crate) const LOAD_NAME: Accepted =
    Accepted { flag: "name", values: "a text of 1 to 128 bytes in one line", example: "spike" };
/// See `--total`.
pub(crate) const TOTAL: Accepted =
    Accepted { flag: "total", values: "a whole number from 1 to 1000000000000000", example: "5000" };
/// See `--duration`.
pub(crate) const DURATION: Accepted = Accepted { flag: "duration", values: TIME, example: "1m30s" };
/// See `--max-in-flight`.
pub(crate) const MAX_IN_FLIGHT: Accepted =
    Accepted { flag: "max-in-flight", values: "a whole number from 1 to 1000000", example: "1000" };
/// See `--connections`.
pub(crate) const CONNECTIONS: Accepted =
    Accepted { flag: "connections", values: "a whole number from 1 to 1000000", example: "10" };
/// See `--streams`.
pub(crate) const STREAMS: Accepted =
    Accepted { flag: "streams", values: "a whole number from 1 to 100000", example: "10" };
/// See `--timeout`.
pub(crate) const TIMEOUT: Accepted = Accepted {
    flag: "timeout",
    values: "a time from 1ms to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
    example: "30s",
};
/// See `--connect-timeout`.
pub(crate) const CONNECT_TIMEOUT: Accepted =
    Accepted { flag: "connect-timeout", values: TIME, example: "500ms" };
/// See `--requests-per-connection`.
pub(crate) const REQUESTS_PER_CONNECTION: Accepted = Accepted {
    flag: "requests-per-connection",
    values: "a whole number from 1 to 1000000000000000",
    example: "100",
};
/// See `--connection-age`.
pub(crate) const CONNECTION_AGE: Accepted = Accepted { flag: "connection-age", values: TIME, example: "10s" };
/// See `--connections-per-second`.
pub(crate) const CONNECTIONS_PER_SECOND: Accepted = Accepted {
    flag: "connections-per-second",
    values: "connections per second, a number from 0.001 to 1000000",
    example: "100",
};
/// See `--connect-to`.
pub(crate) const CONNECT_TO: Accepted =
    Accepted { flag: "connect-to", values: "host:port", example: "127.0.0.1:8080" };
/// See `--resolve`.
pub(crate) const RESOLVE: Accepted = Accepted {
    flag: "resolve",
    values: "HOST:PORT:ADDRESS[,ADDRESS]... of where connections go, at most 64 times with at most 64 addresses each",
    example: "example.org:443:127.0.0.1",
};
/// See `--resolve-every`.
pub(crate) const RESOLVE_EVERY: Accepted = Accepted {
    flag: "resolve-every",
    values: "a time from 100ms to 8760h, or a number of seconds",
    example: "30s",
};
/// See `--bind`.
pub(crate) const BIND: Accepted = Accepted {
    flag: "bind",
    values: "IP addresses and ranges of them, with commas between, at most 65536 in all",
    example: "127.0.0.2-127.0.0.9",
};
/// See `--proxy`.
pub(crate) const PROXY: Accepted = Accepted {
    flag: "proxy",
    values: "http://host:port or http://user:password@host:port",
    example: "http://localhost:3128",
};
/// See `--h2-stream-window`.
pub(crate) const H2_STREAM_WINDOW: Accepted = Accepted {
    flag: "h2-stream-window",
    values: "a size from 1 to 2147483647 bytes, such as 4096, 64K or 10M",
    example: "256K",
};
/// See `--h2-connection-window`.
pub(crate) const H2_CONNECTION_WINDOW: Accepted = Accepted {
    flag: "h2-connection-window",
    values: "a size from 65535 to 2147483647 bytes, such as 64K or 10M",
    example: "64M",
};
/// See `--h2-max-frame-size`.
pub(crate) const H2_MAX_FRAME_SIZE: Accepted = Accepted {
    flag: "h2-max-frame-size",
    values: "a size from 16384 to 16777215 bytes, such as 16K or 1M",
    example: "64K",
};
/// See `--h2-header-table-size`.
pub(crate) const H2_HEADER_TABLE_SIZE: Accepted = Accepted {
    flag: "h2-header-table-size",
    values: "a size from 0 to 4294967295 bytes, such as 0, 4096 or 64K",
    example: "64K",
};
/// See `--idle-connections`.
pub(crate) const IDLE_CONNECTIONS: Accepted =
    Accepted { flag: "idle-connections", values: "a whole number from 0 to 1000000", example: "1000" };
/// See `--pipeline`.
pub(crate) const PIPELINE: Accepted =
    Accepted { flag: "pipeline", values: "a whole number from 1 to 1000", example: "4" };
/// See `--follow`.
pub(crate) const FOLLOW: Accepted =
    Accepted { flag: "follow", values: "a whole number from 0 to 20", example: "5" };
/// See `--recv-rate`.
pub(crate) const RECV_RATE: Accepted = Accepted { flag: "recv-rate", values: BYTE_RATE, example: "64K" };
/// See `--send-rate`.
pub(crate) const SEND_RATE: Accepted = Accepted { flag: "send-rate", values: BYTE_RATE, example: "64K" };
/// See `--workers`.
pub(crate) const WORKERS: Accepted =
    Accepted { flag: "workers", values: "a whole number from 1 to 256", example: "1" };
/// See `--method`.
pub(crate) const METHOD: Accepted = Accepted {
    flag: "method",
    values: "a method other than CONNECT, such as GET, HEAD, POST or DELETE",
    example: "PUT",
};
/// See `--header`.
pub(crate) const HEADER: Accepted = Accepted {
    flag: "header",
    values: "a header field in the form 'name: value'",
    example: "accept: text/html",
};
/// See `--trailer`.
pub(crate) const TRAILER: Accepted = Accepted {
    flag: "trailer",
    values: "a field in the form 'name: value' that may stand behind a body",
    example: "x-checksum: 5d41402a",
};
/// See `--body`.
pub(crate) const BODY: Accepted = Accepted { flag: "body", values: "text of at most 256M", example: "hello" };
/// See `--body-file`.
pub(crate) const BODY_FILE: Accepted = Accepted {
    flag: "body-file",
    values: "the path of a readable file of at most 256M",
    example: "body.json",
};
/// See `rows` of a plan's requests.
pub(crate) const ROWS: Accepted = Accepted {
    flag: "rows",
    values: "the path of a readable file of at most 64M with CSV (.csv) or JSON lines (.jsonl or .ndjson)",
    example: "users.csv",
};
/// See `--plan`.
pub(crate) const PLAN: Accepted = Accepted {
    flag: "plan",
    values: "the path of a readable file of at most 4M with a plan in YAML or JSON",
    example: "plan.yaml",
};
/// See `--url-file`.
pub(crate) const URL_FILE: Accepted = Accepted {
    flag: "url-file",
    values: "the path of a readable file of at most 64M with 1 to 100000 lines, each a path or a URL of the target",
    example: "urls.txt",
};
/// See `--request-id-header`.
pub(crate) const REQUEST_ID_HEADER: Accepted = Accepted {
    flag: "request-id-header",
    values: "the name of a header field that has no meaning to the connection, or '' for no id",
    example: "x-request-id",
};

/// See `--ledger`.
pub(crate) const LEDGER: Accepted = Accepted {
    flag: "ledger",
    values: "host:port of a server's admin port, or dns:name:port of all that the name stands for, at most 256 times",
    example: "localhost:9091",
};

/// See `--ledger-listen`.
pub(crate) const LEDGER_LISTEN: Accepted = Accepted {
    flag: "ledger-listen",
    values: "a port of loopback, or ip:port of this machine; port 0 is one that the system chooses",
    example: "9092",
};

/// See `--replay`.
pub(crate) const REPLAY: Accepted = Accepted {
    flag: "replay",
    values: "an access log (common, combined, HAProxy's, Envoy's, dummy-server's, or JSON lines) of at most 1000000 requests",
    example: "access.log",
};
/// See `--speed`.
pub(crate) const SPEED: Accepted = Accepted {
    flag: "speed",
    values: "how many times as fast, from 0.001 to 1000, such as 2x or 0.5",
    example: "2x",
};
/// See `--proto`.
pub(crate) const PROTO: Accepted = Accepted {
    flag: "proto",
    values: "a .proto file that compiles, or a set of descriptors (.protoset, .binpb, .pb or .bin)",
    example: "echo.proto",
};
/// See `--deadline`.
pub(crate) const DEADLINE: Accepted = Accepted { flag: "deadline", values: TIME, example: "500ms" };
/// See `--messages`.
pub(crate) const MESSAGES: Accepted =
    Accepted { flag: "messages", values: "a whole number from 1 to 1000000000", example: "10" };
/// See `--message-size`.
pub(crate) const MESSAGE_SIZE: Accepted = Accepted {
    flag: "message-size",
    values: "a size from 32 to 16M, in bytes or with K or M",
    example: "1K",
};
/// See `--ping-interval`.
pub(crate) const PING_INTERVAL: Accepted = Accepted {
    flag: "ping-interval",
    values: "a time from 10ms to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
    example: "5s",
};
/// See `--message-interval`.
pub(crate) const MESSAGE_INTERVAL: Accepted = Accepted {
    flag: "message-interval",
    values: "a time from 0 to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
    example: "100ms",
};
/// See `--start-rate` of `find-max`.
pub(crate) const START_RATE: Accepted = Accepted {
    flag: "start-rate",
    values: "requests per second, a number from 0.001 to 100000000, no more than --max-rate",
    example: "50",
};
/// See `--max-rate` of `find-max`.
pub(crate) const MAX_RATE: Accepted = Accepted {
    flag: "max-rate",
    values: "requests per second, a number from 0.001 to 100000000, no less than --start-rate",
    example: "20000",
};
/// See `--step-duration` of `find-max`.
pub(crate) const STEP_DURATION: Accepted = Accepted {
    flag: "step-duration",
    values: "a time from 100ms to 8760h, in which the first rate has enough requests for the percentiles of --slo",
    example: "30s",
};

/// See `--max-knee` of `compare`.
pub(crate) const MAX_KNEE: Accepted = Accepted {
    flag: "max-knee",
    values: "requests per second, a number from 500 to 100000000",
    example: "20000",
};

/// See `load-tester --requests`.
pub(crate) const REQUESTS: Accepted = Accepted { flag: "requests", ..TOTAL };
/// See `load-tester --concurrency`.
pub(crate) const CONCURRENCY: Accepted = Accepted { flag: "concurrency", ..CONNECTIONS };
/// See `hammer --endpoint`.
pub(crate) const ENDPOINT: Accepted = Accepted {
    flag: "endpoint",
    values: "http://host:port or https://host:port, with an optional path",
    example: "http://localhost:8080",
};
/// See `hammer --payload`.
pub(crate) const PAYLOAD: Accepted = Accepted { flag: "payload", ..BODY };
/// See `hammer --headers`.
pub(crate) const HEADERS: Accepted = Accepted {
    flag: "headers",
    values: "a JSON object of header fields, without those that say where a message ends",
    example: r#"{"accept":"text/html"}"#,
};
/// See `hammer --tps`.
pub(crate) const TPS: Accepted = Accepted { flag: "tps", ..RATE };
/// See `hammer run scenario --path`.
pub(crate) const SCENARIO: Accepted = Accepted {
    flag: "path",
    values: "a readable JSON file of at most 4M with duration, tps, hammer and hammerConfig (method, endpoint, payload, headers)",
    example: "scenario.json",
};
/// See `heyyall --config`.
pub(crate) const CONFIG: Accepted = Accepted {
    flag: "config",
    values: "a readable JSON file of at most 4M with RqstRate, MaxConcurrentRqsts, RunDuration, NumRequests, KeyFile, CertFile and \
             Endpoints (URL, Method, RqstBody, RqstPercent, NumRequests, Headers, KeyFile, CertFile)",
    example: "config.json",
};

const TIME: &str = "a time above 0 and up to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds";

const BYTE_RATE: &str = "bytes per second from 1 to 1T, such as 100, 64K or 1M";

/// What `--threshold`, and `thresholds` of a load in a plan, accept.
pub(crate) const THRESHOLD: &str = "a figure (response.p(99), service.p(50), wait.p(50), lag.p(50), error_rate, rate, unanswered, \
                         count(503), count(2xx) or count(UNAVAILABLE)), then <, <=, > or >=, then a value";

/// Of all options that have no list of values.
pub(crate) const ALL: &[Accepted] = &[
    RATE,
    STAGES,
    SEED,
    WARMUP,
    MAX_LAG,
    COALESCE,
    TOTAL,
    DURATION,
    MAX_IN_FLIGHT,
    CONNECTIONS,
    STREAMS,
    TIMEOUT,
    CONNECT_TIMEOUT,
    REQUESTS_PER_CONNECTION,
    CONNECTION_AGE,
    CONNECTIONS_PER_SECOND,
    CONNECT_TO,
    RESOLVE,
    RESOLVE_EVERY,
    BIND,
    PROXY,
    H2_STREAM_WINDOW,
    H2_CONNECTION_WINDOW,
    H2_MAX_FRAME_SIZE,
    H2_HEADER_TABLE_SIZE,
    IDLE_CONNECTIONS,
    PIPELINE,
    FOLLOW,
    RECV_RATE,
    SEND_RATE,
    WORKERS,
    METHOD,
    HEADER,
    TRAILER,
    BODY,
    BODY_FILE,
    PLAN,
    URL_FILE,
    REPLAY,
    SPEED,
    REQUEST_ID_HEADER,
    LEDGER,
    LEDGER_LISTEN,
    PROTO,
    DEADLINE,
    MESSAGES,
    MESSAGE_INTERVAL,
    MESSAGE_SIZE,
    PING_INTERVAL,
    REQUESTS,
    CONCURRENCY,
    ENDPOINT,
    PAYLOAD,
    HEADERS,
    TPS,
    SCENARIO,
    CONFIG,
    Accepted { flag: "nf", values: "a whole number, 0 or from 2 to 1000000", example: "10" },
    Accepted { flag: "cpus", values: "a whole number, 0 for all CPUs", example: "2" },
    Accepted { flag: "loglevel", values: "a whole number from 0 to 5", example: "1" },
    Accepted { flag: "out", values: "text or json", example: "json" },
    Accepted {
        flag: "url",
        values: "host:port, h2c://host:port, http://host:port, https://host:port, grpc://host:port, grpcs://host:port, ws://host:port or wss://host:port, each with an optional path",
        example: "localhost:8080",
    },
    Accepted {
        flag: "wait-for-target",
        values: "a time from 0 to 8760h, such as 500ms, 10s or 1m30s, or a number of seconds",
        example: "60s",
    },
    Accepted {
        flag: "expect-status",
        values: "a status from 200 to 599, a class like 3xx, a range like 500-503 or the name of a gRPC status, like NOT_FOUND, several with commas",
        example: "404,3xx",
    },
    Accepted { flag: "threshold", values: THRESHOLD, example: "p(99)<200ms" },
    Accepted {
        flag: "abort-on",
        values: "a threshold on response.p(N), error_rate or unanswered, which are known while a run goes on",
        example: "error_rate<10%",
    },
    Accepted {
        flag: "fail-on",
        values: "any of 5xx, 4xx, 3xx, grpc, transport, timeout, unanswered, dropped, unmet, lost, wrong, unsolicited and hurt, \
                 with commas",
        example: "5xx,transport",
    },
    Accepted {
        flag: "slo",
        values: "bounds with && between, each a figure that grows with the load (response.p(99), service.p(50), wait.p(50), \
                 lag.p(50), error_rate, unanswered, count(503), count(2xx) or count(UNAVAILABLE)), < or <=, and a value",
        example: "p(99)<20ms && error_rate<0.1%",
    },
    START_RATE,
    MAX_RATE,
    STEP_DURATION,
    MAX_KNEE,
    Accepted { flag: "blocks", values: "a whole number from 6 to 100", example: "20" },
    Accepted {
        flag: "pid",
        values: "the name of a contender, '=', and at most 64 ids of processes with commas between",
        example: "nginx=4711,4712",
    },
    Accepted {
        flag: "cgroup",
        values: "the name of a contender, '=', and the folder of a cgroup",
        example: "nginx=/sys/fs/cgroup/nginx",
    },
    Accepted { flag: "cool-down", values: "a time from 0 to 8760h, or a number of seconds", example: "5s" },
    Accepted {
        flag: "precision",
        values: "a percentage from 1% to 50%, or a share like 0.05",
        example: "2%",
    },
    Accepted { flag: "repeat", values: "a number of rounds from 1 to 100", example: "5" },
    Accepted {
        flag: "fail-on-regression",
        values: "a percentage from 0% to 1000%, or a share below 1, like 0.05",
        example: "5%",
    },
    Accepted {
        flag: "label",
        values: "name=value, printable and of at most 4096 bytes",
        example: "version=1.2",
    },
    Accepted {
        flag: "report",
        values: "a file name that ends in .json, .md, .csv or .txt, or - for JSON on standard output",
        example: "run.json",
    },
];

/// A value that an option does not accept.
pub(crate) fn refused(accepted: &Accepted, value: impl fmt::Display) -> PlanError {
    PlanError(Refusal::of_value(accepted.flag, value, accepted.values, accepted.example))
}

/// The same with what exactly is wrong.
pub(super) fn refused_because(
    accepted: &Accepted,
    value: impl fmt::Display,
    why: impl AsRef<str>,
) -> PlanError {
    PlanError(refused(accepted, value).0.because(why))
}

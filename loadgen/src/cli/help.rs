//! What `-h` and `--help` say beside the options.

pub(super) const AFTER_HELP: &str = "\
Examples:
  loadgen localhost:8080                               HTTP/2 without TLS for 10 s (closed loop)
  loadgen -r 1000 -d 1m http://localhost:8080/bin/1K   HTTP/1.1 at a constant rate (open loop)
  loadgen -r 200 -c 100 ws://localhost:8080/ws         messages on 100 WebSockets
  loadgen --once -H 'accept: text/html' localhost:8080 one request and its response, in full

--help explains each option, the environment variables and the exit codes.";

pub(super) const AFTER_LONG_HELP: &str = "\
Times: 500ms, 10s, 1m30s, or a number of seconds.

Environment: each option is also a variable, LOADGEN_ and its name: LOADGEN_RATE, LOADGEN_MAX_IN_FLIGHT and so on; \
switches are true or false, header fields are separated by line ends. An option on the command line takes precedence, \
and an empty variable counts as unset, except for LOADGEN_URL: there it is a mistake.

Exit codes, the first that applies:
  130  interrupted
  2    invalid arguments
  1    the run failed: fewer than half of the requests succeeded; or it could not begin
  99   a threshold was crossed, or probe found a broken MUST
  3    what --fail-on names happened
  4    a threshold on a time could not be judged
  0    done

Examples:
  A server in this process, to see what comes out:
      loadgen
  HTTP/2 without TLS, as fast as responses come (closed loop), for 10 s:
      loadgen localhost:8080
  HTTP/1.1, 1,000 requests per second (open loop) for a minute:
      loadgen -r 1000 -d 1m http://localhost:8080/bin/1K
  A minute of 100 requests per second, a ramp up to 1,000 in half a minute, a spike, after 10 s that do not count:
      loadgen --stages 1m@100,30s@100..1000,5s@3000,30s@1000 --warmup 10s localhost:8080
  Requests at random times, as of many independent users:
      loadgen -r 500 --poisson -d 1m localhost:8080
  HTTP/1.1, 100,000 requests over 50 connections (closed loop):
      loadgen -c 50 -n 100000 http://localhost:8080/
  POST with a body:
      loadgen -r 500 -b '{}' -H 'content-type: application/json' localhost:8080
  gRPC calls, unary and of a stream of ten messages each:
      loadgen -r 500 -b '{}' grpc://localhost:8080/echo.EchoService/Echo
      loadgen --messages=10 --message-interval=50ms -r 20 grpc://localhost:8080/echo.EchoService/StreamEcho
  Messages on 100 WebSockets, each with a ping every 5 s:
      loadgen -r 200 -c 100 --ping-interval=5s ws://localhost:8080/ws
  One request and its response, in full:
      loadgen --once -H 'accept: text/html' localhost:8080
  A report for programs:
      loadgen -o json localhost:8080
  A report for people, and others in files:
      loadgen --report=run.json --report=run.md localhost:8080
  The report of a run that was kept, and one of two shards that ran at the same time:
      loadgen report run.json --threshold 'p(99)<200ms'
      loadgen merge one.json other.json
  The highest rate that the target holds within bounds:
      loadgen find-max --slo 'p(99)<20ms && error_rate<0.1%' localhost:8080
  What a proxy adds to a request:
      loadgen compare direct=localhost:8080/bin/1K nginx=localhost:8081/bin/1K
  What a proxy does in the cases that matter, with dummy-server behind it:
      loadgen probe --direct=http://localhost:8080 nginx=http://localhost:8081 --report=probe.html
  Five rounds before a change and five after it, compared:
      loadgen --repeat=5 --report=old.json localhost:8080
      loadgen diff old.json new.json --fail-on-regression=5%";

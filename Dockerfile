# Both programs, one target each:
#
#   docker build --target dummy-server -t dummy-server .
#   docker build --target loadgen -t loadgen .
#
# Needs BuildKit (the default since Docker 23): downloads and build products live in cache mounts, so that a
# change of the source compiles only what depends on it.

ARG RUST_VERSION=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST_VERSION}-${DEBIAN} AS source
WORKDIR /src
COPY . .

FROM source AS build-dummy-server
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release -p dummy-server \
    && install -D target/release/dummy-server /out/dummy-server

# Without its default features loadgen has no server inside: in an image there is always a target.
FROM source AS build-loadgen
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release -p loadgen --no-default-features \
    && install -D target/release/loadgen /out/loadgen

# A numeric user, so that Kubernetes can see that it is not root.
FROM debian:${DEBIAN}-slim AS base
USER 65532:65532
WORKDIR /

FROM base AS loadgen
COPY --from=build-loadgen /out/loadgen /usr/local/bin/loadgen
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/loadgen"]

# The last stage is what a build without --target makes.
FROM base AS dummy-server
COPY --from=build-dummy-server /out/dummy-server /usr/local/bin/dummy-server
# Readiness and metrics are for the outside of the container.
ENV DUMMY_SERVER_ADMIN_ADDR=0.0.0.0:9091
# HTTP/1.1 and h2c; gRPC; readiness and metrics.
EXPOSE 8080 50051 9091
STOPSIGNAL SIGTERM
# No HEALTHCHECK: /livez and /readyz on the admin port are asked from outside, and the image has no client for them.
ENTRYPOINT ["/usr/local/bin/dummy-server"]

# syntax=docker/dockerfile:1
# The image of the controller (deploy/kubernetes, deploy/helm): one static binary and the CA certificates, no shell.
# `cargo xtask static` builds the same binary without Docker and checks it in an empty root.

# Debian 12: its static glibc (2.36) resolves names by itself, without NSS modules, which an empty image could not load.
FROM rust:1.95-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    TARGET="$(rustc --print host-tuple)" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$TARGET" -p tidegate \
    && cp "target/$TARGET/release/tidegate" /tidegate \
    # A dynamic binary would ask for an interpreter, which is not in the image.
    && if readelf --program-headers /tidegate | grep --quiet INTERP; then echo "/tidegate is not static" >&2; exit 1; fi

FROM scratch
LABEL org.opencontainers.image.title="tidegate" \
      org.opencontainers.image.source="https://github.com/tidegate/tidegate" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /tidegate /tidegate
# glibc's allocator: by default it learns from the first LIST of thousands of Nodes to keep some 25 MiB for the next one
# (docs/scale.md). Fixed thresholds (128 KiB, its initial ones) give them back, and one arena has fewer gaps than three.
ENV MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072
# A number, so that Kubernetes can see that it is not root; the same as in the Deployment.
USER 65532:65532
ENTRYPOINT ["/tidegate"]
CMD ["--help"]

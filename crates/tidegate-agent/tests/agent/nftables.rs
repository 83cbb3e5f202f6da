//! NAT of the kernel: what it forwards, counts, refuses and ends, between network namespaces of the tests' own.

mod ending;
mod forwarding;
mod goldens;
mod limits;
mod machines;
mod ownership;
mod tracking;

//! One TLS implementation for the whole process.

use std::sync::Once;

/// Makes ring the provider of rustls; the HTTP and Kubernetes clients are built without one.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error would mean that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

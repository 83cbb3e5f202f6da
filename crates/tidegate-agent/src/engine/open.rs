//! The one place that knows every engine.

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tidegate_core::class::ErrorClass;

use super::custom::{self, Custom};
use super::envoy::{Envoy, EnvoyError};
use super::haproxy::{Haproxy, HaproxyError};
use super::nftables::{self, Nftables, NftablesError};
use super::nginx::{Nginx, NginxError};
use super::{Engine, Render};
use crate::command::CommandRunner;
use crate::settings::EngineSettings;

/// An engine that cannot be driven.
#[derive(Debug, Error)]
pub enum EngineError {
    /// nginx.
    #[error(transparent)]
    Nginx(#[from] NginxError),
    /// NAT of the kernel.
    #[error(transparent)]
    Nftables(#[from] NftablesError),
    /// HAProxy.
    #[error(transparent)]
    Haproxy(#[from] HaproxyError),
    /// Envoy.
    #[error(transparent)]
    Envoy(#[from] EnvoyError),
}

impl EngineError {
    /// Whether to retry.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Nginx(error) => error.class(),
            Self::Nftables(error) => error.class(),
            Self::Haproxy(error) => error.class(),
            Self::Envoy(error) => error.class(),
        }
    }
}

/// The engine of these settings, whose own files live in `state_dir`; asks the program for its version.
pub async fn open(
    settings: &EngineSettings,
    state_dir: &Path,
    commands: Arc<dyn CommandRunner>,
) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(match settings {
        EngineSettings::Nginx(nginx) => Arc::new(Nginx::new(nginx, state_dir, commands).await?),
        EngineSettings::Haproxy(haproxy) => Arc::new(Haproxy::new(haproxy, state_dir, commands).await?),
        EngineSettings::Custom(custom) => Arc::new(Custom::new(custom, commands)),
        EngineSettings::Envoy(envoy) => Arc::new(Envoy::new(envoy, state_dir, commands).await?),
        EngineSettings::Nftables(nftables) => Arc::new(Nftables::new(nftables, state_dir, commands).await?),
    })
}

/// What [`Render::render`] of that engine would give, without a program, a file or a process being touched.
pub fn preview(settings: &EngineSettings, state_dir: &Path) -> Result<Box<dyn Render>, EngineError> {
    Ok(match settings {
        EngineSettings::Nginx(nginx) => Box::new(Nginx::preview(nginx, state_dir)?),
        EngineSettings::Haproxy(haproxy) => Box::new(Haproxy::preview(haproxy, state_dir)?),
        EngineSettings::Custom(custom) => Box::new(custom::Renderer::new(custom)),
        EngineSettings::Envoy(envoy) => Box::new(Envoy::preview(envoy, state_dir)?),
        EngineSettings::Nftables(nftables) => Box::new(nftables::Renderer::new(nftables)),
    })
}

//! The engine: exactly one, with its files and programs.

use std::path::PathBuf;

use tidegate_agent::{
    CustomSettings, EngineSettings, EnvoySettings, HaproxySettings, Masquerade, NftablesSettings, NginxSettings,
};
use tidegate_core::engine::EngineKind;

use super::{Validator, value_or};
use crate::config::argument::{Argument, TableName};
use crate::config::defaults;
use crate::config::raw::{RawCustom, RawEngine, RawEnvoy, RawHaproxy, RawNftables, RawNginx};
use crate::config::read::At;
use crate::config::text::Text;

/// The engines that a section names, in the order of [`EngineKind::ALL`].
pub fn kinds(engine: &RawEngine) -> Vec<EngineKind> {
    let named = [
        engine.nginx.is_some(),
        engine.haproxy.is_some(),
        engine.envoy.is_some(),
        engine.nftables.is_some(),
        engine.custom.is_some(),
    ];
    EngineKind::ALL.into_iter().zip(named).filter_map(|(kind, named)| named.then_some(kind)).collect()
}

impl Validator<'_> {
    /// The engine's settings; none when something is wrong.
    pub(super) fn engine(&mut self, engine: &At<RawEngine>) -> Option<EngineSettings> {
        let kinds = kinds(engine);
        let [kind] = kinds.as_slice() else {
            self.not_one(engine, &kinds);
            return None;
        };
        match kind {
            EngineKind::Nginx => engine.nginx.as_ref().map(|nginx| EngineSettings::Nginx(self.nginx(nginx))),
            EngineKind::Haproxy => {
                engine.haproxy.as_ref().map(|haproxy| EngineSettings::Haproxy(self.haproxy(haproxy)))
            }
            EngineKind::Envoy => engine.envoy.as_ref().map(|envoy| EngineSettings::Envoy(self.envoy(envoy))),
            EngineKind::Nftables => engine.nftables.as_ref().map(|nft| EngineSettings::Nftables(self.nftables(nft))),
            EngineKind::Custom => self.custom(engine.custom.as_ref()?).map(EngineSettings::Custom),
        }
    }

    fn not_one(&mut self, engine: &At<RawEngine>, kinds: &[EngineKind]) {
        match kinds {
            [] if self.problems.mentions("agent.engine") => {}
            [] => {
                let cure = "write `nginx: {}`, `haproxy: {}`, `envoy: {}`, `nftables: {}` or `custom: {...}`";
                self.problems.error(&engine.spot, "no engine is chosen", cure);
            }
            several => {
                let names: Vec<&str> = several.iter().map(|kind| kind.as_str()).collect();
                let message = format!("{} are chosen; an agent drives one engine", names.join(" and "));
                let cure = "leave one; a second agent with a stateDir of its own can drive another";
                self.problems.error(&engine.spot, message, cure);
            }
        }
    }

    fn nginx(&self, nginx: &RawNginx) -> NginxSettings {
        NginxSettings {
            template: self.own_template(nginx.template.as_ref()),
            min_reload_interval: value_or(nginx.min_reload_interval.as_ref(), defaults::MIN_RELOAD_INTERVAL),
            binary: self.program(nginx.binary.as_ref(), defaults::NGINX_BINARY),
            workers: nginx.workers.as_ref().map(|n| n.value.0),
            worker_shutdown_timeout: nginx.worker_shutdown_timeout.as_ref().map(|t| t.value.0),
            ..NginxSettings::new(self.path_or(nginx.config_file.as_ref(), defaults::NGINX_CONFIG))
        }
    }

    fn haproxy(&self, haproxy: &RawHaproxy) -> HaproxySettings {
        HaproxySettings {
            template: self.own_template(haproxy.template.as_ref()),
            binary: self.program(haproxy.binary.as_ref(), defaults::HAPROXY_BINARY),
            hard_stop_after: haproxy.hard_stop_after.as_ref().map(|t| t.value.0),
            ..HaproxySettings::new(self.path_or(haproxy.config_file.as_ref(), defaults::HAPROXY_CONFIG))
        }
    }

    fn envoy(&self, envoy: &RawEnvoy) -> EnvoySettings {
        EnvoySettings {
            template: self.own_template(envoy.template.as_ref()),
            binary: self.program(envoy.binary.as_ref(), defaults::ENVOY_BINARY),
            concurrency: envoy.concurrency.as_ref().map(|n| n.value.0),
            ..EnvoySettings::new(self.path_or(envoy.config_file.as_ref(), defaults::ENVOY_CONFIG))
        }
    }

    fn nftables(&self, nft: &RawNftables) -> NftablesSettings {
        NftablesSettings {
            template: self.own_template(nft.template.as_ref()),
            binary: self.program(nft.binary.as_ref(), defaults::NFT_BINARY),
            conntrack: self.program(nft.conntrack.as_ref(), defaults::CONNTRACK_BINARY),
            table: value_or(nft.table.as_ref(), TableName(defaults::NFT_TABLE.to_owned())).0,
            masquerade: value_or(nft.masquerade.as_ref(), Masquerade::default()),
            ..NftablesSettings::new(self.path_or(nft.config_file.as_ref(), defaults::NFTABLES_CONFIG))
        }
    }

    fn custom(&mut self, custom: &RawCustom) -> Option<CustomSettings> {
        let commands = [&custom.check, &custom.reload, &custom.verify].map(|command| self.command(command.as_ref()));
        let stop = custom.stop.as_ref().map(|stop| self.command(Some(stop)));
        let [check, reload, verify] = commands;
        Some(CustomSettings {
            template: self.path(custom.template.as_ref()?),
            output: self.path(custom.output.as_ref()?),
            check: check?,
            reload: reload?,
            verify: verify?,
            stop: stop.flatten(),
            timeout: value_or(custom.timeout.as_ref(), defaults::COMMAND_TIMEOUT),
            min_reload_interval: value_or(custom.min_reload_interval.as_ref(), defaults::MIN_RELOAD_INTERVAL),
        })
    }

    fn command(&mut self, command: Option<&At<Vec<At<Text<Argument>>>>>) -> Option<Vec<String>> {
        let command = command?;
        if command.value.first().is_none_or(|program| program.value.0.0.is_empty()) {
            self.problems.error(&command.spot, "names no program", "write a list: [ /path/of/program, argument ]");
            return None;
        }
        Some(command.value.iter().map(|argument| argument.value.0.0.clone()).collect())
    }

    fn own_template(&self, file: Option<&At<Text<PathBuf>>>) -> Option<PathBuf> {
        file.map(|file| self.path(file))
    }

    /// A program without a folder is looked up in PATH.
    fn program(&self, file: Option<&At<Text<PathBuf>>>, default: &str) -> PathBuf {
        match file {
            None => PathBuf::from(default),
            Some(bare) if bare.value.0.components().count() == 1 => bare.value.0.clone(),
            Some(path) => self.path(path),
        }
    }
}

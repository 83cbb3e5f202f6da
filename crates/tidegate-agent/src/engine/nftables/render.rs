//! Desired state and template to an nft script; pure but for reading the user's own template.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tidegate_core::desired::DesiredState;
use tidegate_core::engine::EngineKind;
use tidegate_core::protocol::Failure;

use super::view::{self, NftListenerView, NftView, SlotMemo};
use crate::engine::recipe::{Recipe, StandIn};
use crate::engine::{Render, Rendering};
use crate::settings::NftablesSettings;
use crate::template::Vetted;

const RECIPE: Recipe = Recipe {
    engine: EngineKind::Nftables,
    partials: &[
        ("nftables/table.nft", include_str!("../../../templates/nftables/table.nft")),
        ("nftables/pools.nft", include_str!("../../../templates/nftables/pools.nft")),
        ("nftables/bind.nft", include_str!("../../../templates/nftables/bind.nft")),
        ("nftables/match.nft", include_str!("../../../templates/nftables/match.nft")),
        ("nftables/listener.nft", include_str!("../../../templates/nftables/listener.nft")),
        ("nftables/generation.nft", include_str!("../../../templates/nftables/generation.nft")),
        ("nftables/element.nft", include_str!("../../../templates/nftables/element.nft")),
    ],
    built_in: ("nftables/nat.nft", include_str!("../../../templates/nftables/nat.nft")),
    demanded: &[
        ("nftables/table.nft", "as its first line"),
        ("nftables/pools.nft", "before its rules"),
        ("nftables/generation.nft", "as its last line"),
    ],
};

/// Renders for one table.
#[derive(Debug)]
pub struct Renderer {
    template: Option<PathBuf>,
    memo: SlotMemo,
    view: NftView,
}

#[derive(Serialize)]
struct Context<'a> {
    nft: &'a NftView,
    generation: Vetted,
    listeners: &'a [NftListenerView],
}

impl Renderer {
    /// For these settings.
    pub fn new(settings: &NftablesSettings) -> Self {
        Self {
            template: settings.template.clone(),
            memo: SlotMemo::new("nftables/element.nft"),
            view: NftView::new(settings),
        }
    }

    /// The user's own template, if there is one.
    pub fn template_path(&self) -> Option<&Path> {
        self.template.as_deref()
    }
}

impl Render for Renderer {
    fn render(&self, state: &DesiredState) -> Result<Rendering, Failure> {
        RECIPE.check_supported(state)?;
        let listeners = view::listeners(state, &self.memo)?;
        let elements = listeners.iter().map(NftListenerView::size).sum();
        let stand_in = StandIn::generation();
        let context = Context { nft: &self.view, generation: stand_in.vetted(), listeners: &listeners };
        let text = RECIPE.text(self.template_path(), &context, elements)?;
        Ok(Recipe::sealed(&stand_in, &text))
    }
}

//! `tidegate history`: the audit trail, from the API or straight from the store.

use std::path::Path;

use tidegate_core::class::ErrorClass;
use tidegate_core::order::OrderKind;
use tidegate_core::status::HistoryRow;
use tidegate_store::HistoryQuery;

use crate::cli::{HistoryArgs, Output};
use crate::client::ApiClient;
use crate::config::defaults;
use crate::config::load::load_store;
use crate::exit::{CommandError, Exit};
use crate::output::{Screen, Style, Table, clock, print, print_json};
use crate::recorded::{is_missing, open_store};

/// Shows the newest changes.
pub async fn history(args: &HistoryArgs, screen: Screen) -> Result<Exit, CommandError> {
    let rows = match (ApiClient::from_args(&args.api)?.history(args.node.as_ref(), args.limit).await, &args.api.config)
    {
        (Ok(rows), _) => rows,
        (Err(error), Some(file)) if error.class() == ErrorClass::Transient => from_store(args, file).await?,
        (Err(error), _) => return Err(error.into()),
    };
    match args.output {
        Output::Json => print_json(&rows)?,
        Output::Table if rows.is_empty() => print("no change is recorded\n")?,
        Output::Table => print(&history_table(&rows, &screen.refreshed()))?,
    }
    Ok(Exit::Fine)
}

async fn from_store(args: &HistoryArgs, file: &Path) -> Result<Vec<HistoryRow>, CommandError> {
    let (cluster, config) = load_store(file)?;
    if is_missing(&config) {
        let cure = "start `tidegate run` or `tidegate controller`";
        return Err(CommandError::NothingRecorded { place: config.to_string(), cure });
    }
    let store = open_store(&config, &cluster, None).await?;
    let limit = usize::try_from(args.limit).unwrap_or(defaults::HISTORY);
    let entries = store.history(&HistoryQuery { node: args.node.clone(), limit }).await?;
    Ok(entries.iter().flat_map(|entry| HistoryRow::about(entry, args.node.as_ref())).collect())
}

/// Rows as a person reads them.
pub fn history_table(rows: &[HistoryRow], screen: &Screen) -> String {
    let mut table = Table::new(&["WHEN", "REVISION", "NODE", "CHANGE", "RULE", "OBSERVATION"]);
    for row in rows {
        let (when, revision) = (clock(row.at), row.position.revision.to_string());
        let Some(change) = &row.change else {
            if let Some(note) = &row.note {
                table.row(
                    vec![when, revision, "-".into(), kind_of(note).into(), "-".into(), note.clone()],
                    Some((3, Style::busy)),
                );
                continue;
            }
            let what = format!("{} leads, term {}", row.holder, row.position.term);
            table.row(vec![when, revision, "-".into(), "election".into(), "-".into(), what], Some((3, Style::faint)));
            continue;
        };
        let step = match (change.from == change.to, change.rule.is_of_listener()) {
            (true, true) => format!("{}, one listener", change.to.as_str()),
            (true, false) => format!("{}, new address", change.to.as_str()),
            (false, _) => format!("{} -> {}", change.from.as_str(), change.to.as_str()),
        };
        let paint = super::status::phase_paint(change.to);
        let rule = change.rule.to_string();
        table.row(
            vec![when, revision, change.node.to_string(), step, rule, change.observation.clone()],
            Some((3, paint)),
        );
    }
    table.show(screen)
}

/// An order begins with what is asked; everything else that has no node's step is a repair of the read model.
fn kind_of(note: &str) -> &'static str {
    let kinds = [OrderKind::Drain, OrderKind::Undrain, OrderKind::Forget];
    let order = kinds.iter().any(|kind| note.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with(" of ")));
    if order { "order" } else { "repair" }
}

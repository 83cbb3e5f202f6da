//! The figures as tables, for the terminal and for docs/benchmarks.md.

use std::fmt::{self, Display};

use tidegate_core::engine::EngineKind;
use tidegate_core::step::Step;

use super::super::statistics::Samples;
use super::data_plane::Compared;
use super::{change, large};

/// Everything that was measured of one engine.
pub struct Figures {
    pub engine: EngineKind,
    pub change: change::Times,
    pub large: Option<large::Times>,
    /// On connections that are used again, and on a new one for each request.
    pub data_plane: [Option<Compared>; 2],
}

/// The tables.
pub struct Tables<'a> {
    pub figures: &'a [Figures],
    pub backends: u16,
}

impl Figures {
    /// How many times the bare operation a change may take.
    fn change_goal(&self) -> f64 {
        if self.engine == EngineKind::Nginx { 1.3 } else { 3.0 }
    }

    /// p99 in milliseconds, where there is such a goal.
    fn tail_goal(&self) -> Option<f64> {
        matches!(self.engine, EngineKind::Haproxy | EngineKind::Envoy).then_some(60.0)
    }
}

impl Display for Tables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes(f)?;
        self.large(f)?;
        self.data_plane(f)
    }
}

impl Tables<'_> {
    fn changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## A node change at the API until it is verified live\n
From the moment the change is sent to the API server; Tidegate's times include its commit to the store and its proof. The bare engine gets
the change from a bare watch. *Whole file + reload* is what consul-template and its like do with the same event.

| engine | n | bare p50 | bare p99 | whole file + reload p50 | Tidegate p50 | Tidegate p99 | ratio p50 | goal | |
|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for one in self.figures {
            let times = &one.change;
            let ratio = times.tidegate.quantile(0.5) / times.floor.quantile(0.5);
            let mut met = ratio <= one.change_goal();
            let mut goals = vec![format!("{:.1} x", one.change_goal())];
            if let Some(tail) = one.tail_goal() {
                met &= times.tidegate.quantile(0.99) <= tail;
                goals.push(format!("p99 {tail:.0} ms"));
            }
            let goal = goals.join(", ");
            let reload = match one.engine {
                EngineKind::Nginx => "the same as bare".to_owned(),
                EngineKind::Envoy => "it has none".to_owned(),
                _ => ms(&times.reload, 0.5),
            };
            writeln!(
                f,
                "| {} | {} | {} | {} | {reload} | {} | {} | **{ratio:.2} x** | {goal} | {} |",
                one.engine,
                times.tidegate.len(),
                ms(&times.floor, 0.5),
                ms(&times.floor, 0.99),
                ms(&times.tidegate, 0.5),
                ms(&times.tidegate, 0.99),
                verdict(met),
            )?;
        }
        writeln!(f)
    }

    fn large(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## One change among {} backends\n
`tidegate agent`, from sending the signed hook with the whole state to its answer; *engine* is what of that was spent on telling and asking the
engine. The bare operation changes the one backend in the cheapest way that the engine has, and proves nothing.

| engine | n | bare p50 | bare p99 | engine p50 | answered p50 | answered p99 | ratio p50 | goal | |
|---|---|---|---|---|---|---|---|---|---|",
            self.backends
        )?;
        for one in self.figures {
            let Some(times) = &one.large else { continue };
            let ratio = times.answered.quantile(0.5) / times.floor.quantile(0.5);
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | **{ratio:.2} x** | 2 x | {} |",
                one.engine,
                times.answered.len(),
                ms(&times.floor, 0.5),
                ms(&times.floor, 0.99),
                ms(&times.engine, 0.5),
                ms(&times.answered, 0.5),
                ms(&times.answered, 0.99),
                verdict(ratio <= 2.0),
            )?;
        }
        self.steps(f)
    }

    /// Where the time of a change among many goes.
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nMedians of the agent's steps, by its own account; *rest* is receiving, reading and admitting the state, and answering.\n"
        )?;
        writeln!(f, "| engine | {} | rest |", Step::ALL.map(|step| step.to_string()).join(" | "))?;
        writeln!(f, "|---|{}---|", "---|".repeat(Step::ALL.len()))?;
        for one in self.figures {
            let Some(times) = &one.large else { continue };
            let medians = Step::ALL.map(|step| times.steps.get(&step).map_or(0.0, |samples| samples.quantile(0.5)));
            let rest = times.answered.quantile(0.5) - medians.iter().sum::<f64>();
            let shown = medians.map(|median| format!("{median:.1} ms")).join(" | ");
            writeln!(f, "| {} | {shown} | {rest:.1} ms |", one.engine)?;
        }
        writeln!(f)
    }

    fn data_plane(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## Traffic through the engine, beside a direct connection to a node\n
32 clients that send the next request when the last one is answered; client, load balancer and nodes share the machine, so that whatever the
engine computes is taken from the others: read the ratios. *Routed*: the same packets take the same way, and the load balancer machine only
forwards them, which on this one machine is paid by the same two cores.

| engine | connections | direct | direct p99 | routed | through it | p99 | ratio | to routed | goal | |
|---|---|---|---|---|---|---|---|---|---|---|"
        )?;
        for one in self.figures {
            for (name, compared) in ["reused", "one for each request"].iter().zip(&one.data_plane) {
                let Some(Compared { engine, direct, routed }) = compared else { continue };
                let (ratio, to_routed) = (engine.rate / direct.rate, engine.rate / routed.rate);
                let (goal, met) =
                    if one.engine == EngineKind::Nftables { ("0.9 x", verdict(ratio >= 0.9)) } else { ("", "") };
                writeln!(
                    f,
                    "| {} | {name} | {:.0}/s | {:.1} ms | {:.0}/s | {:.0}/s | {:.1} ms | **{ratio:.2} x** | {to_routed:.2} x | {goal} | {met} |",
                    one.engine, direct.rate, direct.p99, routed.rate, engine.rate, engine.p99,
                )?;
            }
        }
        Ok(())
    }
}

fn ms(samples: &Samples, share: f64) -> String {
    format!("{:.1} ms", samples.quantile(share))
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

//! How often each fault met each stage; what to inject next.

use super::fault::{Artifacts, Fault, Part};
use imagefleet_common::work::Stage;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

/// One fault as it is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    pub fault: Fault,
    pub stage: Stage,
    /// Chooses the process where there are several.
    pub target: u32,
    /// Of its life.
    pub millis: u64,
    /// Until the next one, in milliseconds.
    pub rest: u64,
}

/// Chance of its own for each seed.
pub fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Counts of faults that had an effect, by stage; and of those that were tried and met nothing.
#[derive(Debug, Clone, Default)]
pub struct Table {
    counts: BTreeMap<(Fault, Stage), u32>,
    missed: BTreeMap<(Fault, Stage), u32>,
}

impl Table {
    /// The fault that has met this stage least often, of those that may and whose part is whole; chance decides
    /// between equals.
    pub fn choose(
        &self,
        stage: Stage,
        artifacts: Artifacts,
        busy: &HashSet<Part>,
        rng: &mut StdRng,
    ) -> Option<Injection> {
        let tried = |fault: Fault| self.of(&self.counts, fault, stage) + self.of(&self.missed, fault, stage);
        let fit: Vec<Fault> = Fault::ALL
            .iter()
            .copied()
            .filter(|fault| fault.fits(stage, artifacts) && !busy.contains(&fault.part()))
            .collect();
        let least = fit.iter().map(|fault| tried(*fault)).min()?;
        let fit: Vec<Fault> = fit.into_iter().filter(|fault| tried(*fault) == least).collect();
        let fault = *fit.choose(rng)?;
        let (least, most) = fault.lasts();
        Some(Injection {
            fault,
            stage,
            target: rng.random(),
            millis: rng.random_range(least..=most),
            rest: rng.random_range(100..900),
        })
    }

    pub fn add(&mut self, fault: Fault, stage: Stage) {
        *self.counts.entry((fault, stage)).or_default() += 1;
    }

    /// It met nothing.
    pub fn miss(&mut self, fault: Fault, stage: Stage) {
        *self.missed.entry((fault, stage)).or_default() += 1;
        if let Some(count) = self.counts.get_mut(&(fault, stage)) {
            *count = count.saturating_sub(1);
        }
    }

    pub fn total(&self) -> u32 {
        self.counts.values().sum()
    }

    fn of(&self, counts: &BTreeMap<(Fault, Stage), u32>, fault: Fault, stage: Stage) -> u32 {
        counts.get(&(fault, stage)).copied().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    /// Markdown. A dash where a fault cannot meet a stage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = Stage::ALL.map(Stage::name).join(" | ");
        writeln!(f, "| fault | {stages} | all |\n|---|{}---|", "---|".repeat(Stage::ALL.len()))?;
        let mut sums = [0; Stage::ALL.len()];
        for &fault in Fault::ALL {
            write!(f, "| {} |", fault.name())?;
            let mut all = 0;
            for (stage, sum) in Stage::ALL.into_iter().zip(&mut sums) {
                let count = self.of(&self.counts, fault, stage);
                let fits = [Artifacts::Bucket, Artifacts::Folder].iter().any(|place| fault.fits(stage, *place));
                all += count;
                *sum += count;
                if fits { write!(f, " {count} |")? } else { write!(f, " – |")? }
            }
            writeln!(f, " {all} |")?;
        }
        write!(f, "| all |")?;
        sums.iter().try_for_each(|sum| write!(f, " {sum} |"))?;
        writeln!(f, " {} |", self.total())
    }
}

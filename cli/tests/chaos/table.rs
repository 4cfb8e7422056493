//! What is injected next.

use imagefleet_common::work::Stage;
use imagefleet_tests::chaos::{
    fault::{Artifacts, Fault, Part},
    table::{Table, seeded},
};
use std::collections::HashSet;

#[test]
fn every_fault_that_fits_meets_its_stage_before_any_meets_it_twice() {
    let (mut table, mut rng) = (Table::default(), seeded(1));
    let fit = Fault::ALL.iter().filter(|fault| fault.fits(Stage::Seal, Artifacts::Bucket)).count();
    let mut seen = HashSet::new();
    for _ in 0..fit {
        let chosen = table.choose(Stage::Seal, Artifacts::Bucket, &HashSet::new(), &mut rng).unwrap();
        table.add(chosen.fault, chosen.stage);
        seen.insert(chosen.fault);
    }
    assert_eq!(seen.len(), fit);
    let busy = HashSet::from([Part::Worker, Part::Store]);
    let chosen = table.choose(Stage::Seal, Artifacts::Bucket, &busy, &mut rng).unwrap();
    assert!(!busy.contains(&chosen.fault.part()));
}

//! `imagefleet bench worker`: how fast this machine embeds, in which batches, and which stage holds it up.
//!
//! Each stage is measured alone, and then all of them together in the pipeline that workers use: only that shows what
//! stages take from each other, as decoders and an encoder on the CPU do.

mod pictures;
mod stages;

use crate::{
    args::{BenchWorkerArgs, Global, Output},
    exit::Exit,
    logging::{print, say},
    models::folder_of,
    run::blocking,
    table::table,
};
use imagefleet_common::{Error, Result};
use imagefleet_models::Device;
use imagefleet_pictures::processor::Processor;
use serde_json::json;
use stages::{Batch, Together};
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// A smaller batch than the fastest is as good where it is no slower than this share of it: it needs less memory.
const AS_GOOD: f64 = 0.97;

pub(crate) async fn worker(global: &Global, args: BenchWorkerArgs) -> Result<Exit> {
    let BenchWorkerArgs { model, device, pictures, max_batch, seconds } = args;
    let (model, folder) = (model.clone(), blocking(move || folder_of(&model)).await?);
    let decoders = thread::available_parallelism().map_or(1, usize::from);
    let found = measure(&folder, device, pictures, max_batch as usize, seconds, decoders).await?;
    show(global, &model, device, decoders, &found);
    Ok(Exit::Done)
}

/// Pictures a second of each stage alone, and of all of them together.
struct Found {
    /// Where pictures come from files.
    read: Option<f64>,
    decode: f64,
    batches: Vec<Batch>,
    upsert: f64,
    together: Together,
}

impl Found {
    /// The smallest batch that is as good as the fastest.
    fn batch(&self) -> usize {
        recommended(&self.batches)
    }
}

fn recommended(batches: &[Batch]) -> usize {
    let best = batches.iter().map(|batch| batch.rate).fold(0.0, f64::max);
    batches.iter().find(|batch| batch.rate >= AS_GOOD * best).map_or(1, |batch| batch.size)
}

async fn measure(
    folder: &Path,
    device: Device,
    pictures: Option<PathBuf>,
    max_batch: usize,
    time: Duration,
    decoders: usize,
) -> Result<Found> {
    let load = {
        let folder = folder.to_owned();
        move || Ok((imagefleet_models::load(&folder, device)?, Processor::read(&folder)?))
    };
    say(format_args!("loading the model"));
    let (encoder, processor) = blocking(load).await?;
    let dims = encoder.dims();
    let (samples, read) = blocking(move || pictures::samples(pictures.as_deref())).await?;
    say(format_args!("decoding {} pictures with {decoders} threads", samples.len()));
    let (processor, samples, decode) = blocking(move || {
        let decode = stages::decode(&processor, &samples, decoders, time)?;
        Ok((processor, samples, decode))
    })
    .await?;
    say(format_args!("encoding in batches of up to {max_batch}"));
    let (encoder, batches) = blocking(move || stages::encode(encoder, max_batch, time)).await?;
    say(format_args!("writing to an index"));
    let upsert = stages::upsert(dims, time).await?;
    let batch = recommended(&batches);
    say(format_args!("all together, in batches of {batch}"));
    let together = stages::together(encoder, processor, samples, batch, decoders, 2 * time).await?;
    Ok(Found { read, decode, batches, upsert, together })
}

fn show(global: &Global, model: &str, device: Device, decoders: usize, found: &Found) {
    let Found { read, decode, batches, upsert, together } = found;
    let batch = found.batch();
    let encode = batches.iter().find(|tried| tried.size == batch).map_or(0.0, |tried| tried.rate);
    let alone = [("read", *read), ("decode", Some(*decode)), ("encode", Some(encode)), ("upsert", Some(*upsert))];
    let bottleneck = together.bottleneck();
    if global.output == Output::Json {
        let batches: Vec<_> =
            batches.iter().map(|Batch { size, rate }| json!({"batch": size, "pictures_per_second": rate})).collect();
        let stages: Vec<_> = alone
            .iter()
            .zip(together.busy)
            .map(|((stage, rate), (_, busy))| json!({"stage": stage, "pictures_per_second": rate, "busy": busy}))
            .collect();
        print(format_args!(
            "{:#}",
            json!({"model": model, "device": device.to_string(), "decoders": decoders, "batches": batches, "stages": stages,
                "pictures_per_second": together.rate, "batch": batch, "bottleneck": bottleneck})
        ));
        return;
    }
    let rows: Vec<Vec<String>> =
        batches.iter().map(|Batch { size, rate }| vec![size.to_string(), format!("{rate:.1}")]).collect();
    print(format_args!("{}\n", table(&["BATCH", "PICTURES/S"], &rows)));
    let rows: Vec<Vec<String>> = alone
        .iter()
        .zip(together.busy)
        .map(|((stage, rate), (_, busy))| {
            let rate = rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
            vec![(*stage).to_owned(), rate, format!("{:.0} %", 100.0 * busy.min(1.0))]
        })
        .collect();
    print(format_args!("{}\n", table(&["STAGE", "ALONE", "BUSY"], &rows)));
    print(format_args!("all together {:.1} pictures/s on {device}, {decoders} decoder threads", together.rate));
    print(format_args!("bottleneck   {bottleneck}: {}", advice(bottleneck, device)));
    print(format_args!("batch        {batch}: set model.batch = {batch} in the job file"));
}

fn advice(bottleneck: &str, device: Device) -> &'static str {
    match (bottleneck, device) {
        ("encode", Device::Cpu) => "a GPU, or more cores, would help most",
        ("encode", Device::Cuda(_)) => "the GPU is busy all the time; more workers on more GPUs would help",
        ("decode", _) => "more cores for each worker would help, or model.decoding = \"fast\"",
        ("upsert", _) => "a faster disk would help; a fleet's index is measured by its own busy share",
        _ => "a faster disk or network would help",
    }
}

/// What a thread of a measurement that has panicked leaves.
fn broken(what: &str) -> Error {
    Error::permanent(format!("measure: the thread for {what} panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_batch_that_is_as_good_as_the_fastest_is_recommended() {
        let batches: Vec<Batch> =
            [(1, 10.0), (2, 18.0), (4, 19.5), (8, 20.0), (16, 19.9)].map(|(size, rate)| Batch { size, rate }).into();
        assert_eq!(recommended(&batches), 4);
        assert_eq!(recommended(&batches[..1]), 1);
    }
}

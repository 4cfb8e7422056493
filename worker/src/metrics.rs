//! A worker's figures, for Prometheus: what its stages did since the process began.

use crate::{Worker, events::End};
use imagefleet_common::{
    exposition::{
        Exposition,
        Shape::{Counter, Gauge},
    },
    work::Kind,
};
use std::sync::atomic::Ordering::Relaxed;

impl Worker {
    /// In Prometheus's text format. `device` is where the models compute.
    pub fn metrics(&self, device: &str) -> String {
        let stats = self.engines.stats();
        let stages =
            [("read", &stats.read), ("decode", &stats.decode), ("encode", &stats.encode), ("upsert", &stats.upsert)];
        let mut text = Exposition::default();
        text.family("imagefleet_worker_info", Gauge, "1, with what the worker is.").sample(
            &[("worker", &self.settings.name), ("version", &self.settings.binary.version), ("device", device)],
            1,
        );
        let about = "Pictures that have passed a stage of embedding.";
        let mut pictures = text.family("imagefleet_worker_pictures_total", Counter, about);
        for (stage, stats) in stages {
            pictures.sample(&[("stage", stage)], stats.items());
        }
        let about =
            "Time in which a stage was at work, summed over its threads; read is the time that tasks wait for it.";
        let mut busy = text.family("imagefleet_worker_busy_seconds_total", Counter, about);
        for (stage, stats) in stages {
            busy.sample(&[("stage", stage)], stats.busy().as_secs_f64());
        }
        text.family("imagefleet_worker_batches_total", Counter, "Calls of the encoder for pictures.")
            .sample(&[], stats.batches.load(Relaxed));
        text.family("imagefleet_worker_texts_total", Counter, "Texts encoded.").sample(&[], stats.texts.load(Relaxed));
        let about = "Pictures that a batch may hold; smaller than the job file's after the device ran out of memory.";
        text.family("imagefleet_worker_batch_pictures", Gauge, about)
            .sample(&[("device", device)], stats.batch.load(Relaxed));
        text.family("imagefleet_worker_decoder_threads", Gauge, "Threads that decode pictures, for each model loaded.")
            .sample(&[], stats.decoders.load(Relaxed));
        text.family("imagefleet_worker_slots", Gauge, "Tasks that it runs at a time.").sample(&[], self.settings.slots);
        let mut ends = text.family("imagefleet_worker_attempts_total", Counter, "Attempts at tasks, by kind and end.");
        for kind in &self.settings.kinds {
            for end in End::ALL {
                let labels = [("kind", Kind::name(*kind)), ("end", end.name())];
                ends.sample(&labels, self.ends.count(*kind, end));
            }
        }
        text.into_text()
    }
}

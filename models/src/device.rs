//! Where a model computes.

use imagefleet_common::{Context, Error, Result};
use std::{fmt, str::FromStr};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// The CUDA device of this ordinal.
    Cuda(usize),
}

impl Device {
    /// Fails as [`load`](crate::load) would, before a model is there to be loaded.
    pub fn check(self) -> Result<()> {
        self.open().map(drop)
    }

    /// The CPU always opens. A GPU that was asked for and is not there is an error, never the CPU instead.
    pub(crate) fn open(self) -> Result<candle_core::Device> {
        match self {
            Device::Cpu => Ok(candle_core::Device::Cpu),
            Device::Cuda(ordinal) => open_cuda(ordinal),
        }
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(ordinal: usize) -> Result<candle_core::Device> {
    let remedy = "is it among those of nvidia-smi and CUDA_VISIBLE_DEVICES? device cpu computes without one";
    candle_core::Device::new_cuda(ordinal).permanent(|| format!("open device {} ({remedy})", Device::Cuda(ordinal)))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(ordinal: usize) -> Result<candle_core::Device> {
    let reason = "imagefleet was built without the feature cuda; build with --features cuda or use device cpu";
    Err(reason).permanent(|| format!("open device {}", Device::Cuda(ordinal)))
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let ordinal = text.strip_prefix("cuda:").and_then(|ordinal| ordinal.parse().ok());
        match (text, ordinal) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(ordinal)) => Ok(Self::Cuda(ordinal)),
            _ => Err(Error::permanent(format!("device {text:?}: expected cpu or cuda:N, as in cuda:0"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_device_reads_back_from_its_name() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        for wrong in ["gpu", "cuda", "cuda:", "cuda:x", "CPU", ""] {
            assert!(wrong.parse::<Device>().unwrap_err().to_string().contains("cuda:0"), "{wrong}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_was_asked_for_is_never_replaced_by_the_cpu() {
        let error = Device::Cuda(0).check().unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("--features cuda"), "{error}");
    }
}

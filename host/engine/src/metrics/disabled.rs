//! Instruments that count nothing, for builds without the feature `metrics`.
#![allow(
    missing_docs,
    reason = "the interface is that of the crate `prometheus`"
)]

use std::convert::Infallible;

pub(super) type Result<T> = std::result::Result<T, Infallible>;

/// An instrument of any kind.
#[derive(Clone, Copy, Debug)]
pub struct Instrument;

pub(super) type GaugeVec = Instrument;
pub(super) type Histogram = Instrument;
pub(super) type HistogramVec = Instrument;
pub(super) type IntCounter = Instrument;
pub(super) type IntCounterVec = Instrument;
pub(super) type IntGauge = Instrument;
pub(super) type IntGaugeVec = Instrument;

impl Instrument {
    pub fn inc(&self) {}

    pub fn observe(&self, _: f64) {}

    pub fn set(&self, _: i64) {}

    pub fn reset(&self) {}

    pub fn with_label_values(&self, _: &[&str]) -> Instrument {
        Instrument
    }
}

/// Creates instruments.
#[derive(Default)]
pub(super) struct MetricFactory;

impl MetricFactory {
    pub(super) fn process(&self) -> Result<()> {
        Ok(())
    }

    pub(super) fn counter(&self, _: &str, _: &str) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn counters(&self, _: &str, _: &str, _: &[&str]) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn gauge(&self, _: &str, _: &str) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn gauges(&self, _: &str, _: &str, _: &[&str]) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn float_gauges(&self, _: &str, _: &str, _: &[&str]) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn histogram(&self, _: &str, _: &str, _: &[f64]) -> Result<Instrument> {
        Ok(Instrument)
    }

    pub(super) fn histograms(&self, _: &str, _: &str, _: &[&str], _: &[f64]) -> Result<Instrument> {
        Ok(Instrument)
    }
}

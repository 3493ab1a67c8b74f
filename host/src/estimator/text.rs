//! An estimator as text, in records.

use bitboltz_core::coupling::Horizon;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Estimator, SecondStart, UnknownEstimator};

/// An estimator as a checkpoint records it: the name that commands take, and the rest.
#[derive(Serialize, Deserialize)]
pub(super) struct EstimatorText {
    name: String,
    /// `null` for those that couple no chains.
    #[serde(deserialize_with = "Option::deserialize")]
    horizon: Option<HorizonText>,
    independent_start: bool,
}

#[derive(Serialize, Deserialize)]
struct HorizonText {
    k: u32,
    m: u32,
    lag: u32,
    cap: u32,
}

impl From<Estimator> for EstimatorText {
    fn from(estimator: Estimator) -> Self {
        let (horizon, second) = match estimator {
            Estimator::Ucd { horizon, second, .. } => (Some(horizon), second),
            _ => (None, SecondStart::Same),
        };
        let horizon = horizon.map(|Horizon { k, m, lag, cap }| HorizonText { k, m, lag, cap });
        Self { name: estimator.to_string(), horizon, independent_start: second == SecondStart::Independent }
    }
}

#[derive(Debug, Error)]
pub(super) enum EstimatorTextError {
    #[error(transparent)]
    Unknown(#[from] UnknownEstimator),
    #[error("estimator {name}: expected a horizon, found none")]
    NoHorizon { name: String },
}

impl TryFrom<EstimatorText> for Estimator {
    type Error = EstimatorTextError;

    fn try_from(text: EstimatorText) -> Result<Self, EstimatorTextError> {
        let second = if text.independent_start { SecondStart::Independent } else { SecondStart::Same };
        match (text.name.parse::<Self>()?.with_second(second), text.horizon) {
            (Self::Ucd { .. }, None) => Err(EstimatorTextError::NoHorizon { name: text.name }),
            (estimator, None) => Ok(estimator),
            (estimator, Some(HorizonText { k, m, lag, cap })) => Ok(estimator.with_horizon(Horizon { k, m, lag, cap })),
        }
    }
}

//! Meeting times of a batch of coupled chains, as a histogram.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// How many bins there are: one for each power of two that a meeting time of 32 bits may reach.
const BINS: usize = 32;

/// How many chains met when: bin i counts the meeting times from 2^i to 2^(i+1) − 1. As JSON, the bins up to the last one
/// that is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeetingTimes([u32; BINS]);

impl MeetingTimes {
    /// Counts a chain. A meeting time of 0 counts as 1.
    pub fn add(&mut self, tau: u32) {
        self.0[tau.max(1).ilog2() as usize] += 1;
    }

    /// The bins up to the last one that is not empty.
    pub fn bins(&self) -> &[u32] {
        let count = self.0.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        &self.0[..count]
    }
}

impl Serialize for MeetingTimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bins().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MeetingTimes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Vec::<u32>::deserialize(deserializer)?;
        let mut bins = [0; BINS];
        let places = bins.get_mut(..found.len());
        places.ok_or_else(|| D::Error::invalid_length(found.len(), &"at most 32 bins"))?.copy_from_slice(&found);
        Ok(Self(bins))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_double() {
        let mut times = MeetingTimes::default();
        assert_eq!((times.bins(), serde_json::to_string(&times).unwrap().as_str()), (&[][..], "[]"));
        [1, 1, 2, 3, 4, 7, 8, 1000].into_iter().for_each(|tau| times.add(tau));
        assert_eq!(times.bins(), [2, 2, 2, 1, 0, 0, 0, 0, 0, 1]);
        let text = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<MeetingTimes>(&text).unwrap(), times);
        times.add(u32::MAX);
        assert_eq!(times.bins().len(), BINS);
        assert!(serde_json::from_str::<MeetingTimes>(&format!("{:?}", [0; 33])).is_err());
    }
}

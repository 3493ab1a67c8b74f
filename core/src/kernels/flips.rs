//! Units of one layer that flipped, gathered until it pays to move the fields of their neighbours.

/// Most units of one [`Flips`]. Sums of as many weights are kept in parts of a register.
pub const MOST: usize = 32;

/// Up to [`MOST`] units of one layer that flipped, pushed in ascending order.
///
/// Those that went on fill the list from its front, those that went off from its back.
#[derive(Clone, Copy, Debug)]
pub struct Flips {
    units: [u32; MOST],
    on: usize,
    off: usize,
    /// Kept, and not read off the lists, since kernels rely on it: whoever pushes out of order gets wrong sums, and no more.
    end: usize,
}

impl Default for Flips {
    fn default() -> Self {
        Self { units: [0; MOST], on: 0, off: 0, end: 0 }
    }
}

impl Flips {
    /// Adds a unit above all others in the list. False, with nothing done, if the list is full.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, unit: usize, on: bool) -> bool {
        if self.is_full() {
            return false;
        }
        let at = if on { self.on } else { MOST - 1 - self.off };
        if let Some(place) = self.units.get_mut(at) {
            // A layer has at most 65,536 units.
            *place = unit as u32;
            self.end = self.end.max(unit.saturating_add(1));
        }
        if on {
            self.on += 1;
        } else {
            self.off += 1;
        }
        true
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.on + self.off
    }

    /// One more than the largest unit's number, 0 if there is none.
    pub fn end(&self) -> usize {
        self.end
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.on + self.off == 0
    }

    /// Whether there is room for no more.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.on + self.off >= MOST
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        (self.on, self.off, self.end) = (0, 0, 0);
    }

    /// The units that went on, ascending.
    pub fn on(&self) -> &[u32] {
        self.units.get(..self.on).unwrap_or(&[])
    }

    /// The units that went off, descending.
    pub fn off(&self) -> &[u32] {
        self.units.get(MOST - self.off..).unwrap_or(&[])
    }

    /// All units, ascending, and whether they went on.
    pub fn ascending(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        let (mut on, mut off) = (self.on().iter().peekable(), self.off().iter().rev().peekable());
        core::iter::from_fn(move || {
            let first_on = match (on.peek(), off.peek()) {
                (Some(a), Some(b)) => a < b,
                (a, _) => a.is_some(),
            };
            if first_on {
                on.next().map(|&unit| (unit as usize, true))
            } else {
                off.next().map(|&unit| (unit as usize, false))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_come_back_in_order_until_it_is_full() {
        let mut flips = Flips::default();
        for unit in 0..MOST {
            assert!(flips.push(7 * unit, unit % 3 == 0));
        }
        assert!(!flips.push(1000, true) && !flips.push(1000, false));
        assert!(flips.ascending().eq((0..MOST).map(|unit| (7 * unit, unit % 3 == 0))));
        assert_eq!((flips.on().len(), flips.off().first()), (11, Some(&(31 * 7))));
        flips.clear();
        assert!(flips.is_empty() && flips.ascending().next().is_none());
    }
}

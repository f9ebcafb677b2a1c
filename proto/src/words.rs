//! What people read of a contract's numbers, one way for all who show them.

use crate::control::LossStatement;

impl LossStatement {
    /// The bounds, never one number where there is an interval: `at least 3 and at most 9 records, 20 ms of data`.
    pub fn bounds_in_words(&self) -> String {
        let Self { records_min, records_max, time_millis_max, .. } = self;
        let time =
            if *time_millis_max > 0 { format!(", {time_millis_max} ms of data") } else { String::new() };
        match (self.exact, self.unbounded) {
            (true, _) => format!("exactly {records_max} records{time}"),
            (false, true) => {
                format!("at least {records_min} records, unbounded until the old region is fenced or returns")
            }
            (false, false) => format!("at least {records_min} and at most {records_max} records{time}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_never_told_as_one_number() {
        let loss =
            LossStatement { records_min: 3, records_max: 9, time_millis_max: 20, ..Default::default() };

        assert_eq!(loss.bounds_in_words(), "at least 3 and at most 9 records, 20 ms of data");
    }
}

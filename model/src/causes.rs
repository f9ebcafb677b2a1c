//! Errors in one line.

use std::{error::Error, iter::successors};

/// An error with all its causes, for a reader who sees only the text. A cause that the text ends with already is left out.
pub fn with_causes(error: &dyn Error) -> String {
    successors(error.source(), |cause| (**cause).source()).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|inner| inner as &dyn Error)
        }
    }

    #[test]
    fn causes_are_joined_and_none_is_told_twice() {
        let inner = Layer("refused", None);
        let middle = Layer("no answer: refused", Some(Box::new(inner)));
        let outer = Layer("k1:9092", Some(Box::new(middle)));

        assert_eq!(with_causes(&outer), "k1:9092: no answer: refused");
    }
}

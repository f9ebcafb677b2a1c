//! What is drawn again in place on a terminal: a block of lines below what was printed.

use std::io::{self, IsTerminal, Write};

/// Size where the terminal tells none.
const SIZE_ASSUMED: (u16, u16) = (80, 24);

/// Whether standard output is a terminal that takes more than plain lines.
pub(crate) fn is_live() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() && !dumb
}

/// Columns and rows.
pub(crate) fn size() -> (usize, usize) {
    let (columns, rows) = crossterm::terminal::size().unwrap_or(SIZE_ASSUMED);
    (usize::from(columns.max(1)), usize::from(rows.max(2)))
}

/// The lines that stand at the bottom, as they were drawn last.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Columns that each drawn line takes.
    drawn: Vec<usize>,
}

impl Block {
    /// Draws `lines` in place of the ones before: cut to the terminal's width, and to its height but one. One write, so
    /// that nothing flickers.
    ///
    /// # Errors
    ///
    /// The output's.
    pub(crate) fn draw(
        &mut self,
        out: &mut impl Write,
        (columns, rows): (usize, usize),
        lines: &[String],
    ) -> io::Result<()> {
        let mut frame = self.back(columns);
        self.drawn.clear();
        for line in lines.iter().take(rows - 1) {
            let shown: String = line.chars().take(columns - 1).collect();
            self.drawn.push(shown.chars().count());
            frame += &format!("{shown}\x1b[K\n");
        }
        frame += "\x1b[J";
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Prints a line that stays, above the block; the block is gone until it is drawn again.
    ///
    /// # Errors
    ///
    /// The output's.
    pub(crate) fn print(&mut self, out: &mut impl Write, columns: usize, line: &str) -> io::Result<()> {
        let frame = format!("{}\x1b[J{line}\n", self.back(columns));
        self.drawn.clear();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Takes the block away.
    ///
    /// # Errors
    ///
    /// The output's.
    pub(crate) fn erase(&mut self, out: &mut impl Write, columns: usize) -> io::Result<()> {
        let frame = format!("{}\x1b[J", self.back(columns));
        self.drawn.clear();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    /// Back to the block's first column and row; lines wrap where the terminal became narrower.
    fn back(&self, columns: usize) -> String {
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(block: &mut Block, size: (usize, usize), lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let mut out = Vec::new();
        block.draw(&mut out, size, &lines).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_block_is_drawn_over_the_one_before() {
        let mut block = Block::default();

        let first = drawn(&mut block, (80, 24), &["one", "two"]);
        let second = drawn(&mut block, (80, 24), &["three"]);

        assert_eq!(first, "one\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(second, "\r\x1b[2Athree\x1b[K\n\x1b[J");
    }

    #[test]
    fn a_block_is_no_larger_than_its_terminal() {
        let text = drawn(&mut Block::default(), (4, 3), &["abcdef", "b", "c"]);

        assert_eq!(text, "abc\x1b[K\nb\x1b[K\n\x1b[J");
    }

    #[test]
    fn lines_that_wrapped_since_are_drawn_over_whole() {
        let mut block = Block::default();
        drawn(&mut block, (80, 24), &["0123456789"]);

        let text = drawn(&mut block, (5, 24), &["x"]);

        assert!(text.starts_with("\r\x1b[2A"), "{text:?}");
    }
}

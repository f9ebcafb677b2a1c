//! The least that moving bytes from one socket to another costs: `relay FROM TO`, until FROM ends. For comparison only.

use std::{
    env,
    io::{Read, Result, Write},
    net::TcpStream,
};

const READ_BYTES: usize = 256 << 10;

fn main() -> Result<()> {
    let mut addresses = env::args().skip(1);
    let mut connect = || TcpStream::connect(addresses.next().expect("usage: relay FROM TO"));
    let (mut from, mut to) = (connect()?, connect()?);
    let mut room = vec![0; READ_BYTES];
    loop {
        match from.read(&mut room)? {
            0 => return Ok(()),
            bytes => to.write_all(&room[..bytes])?,
        }
    }
}

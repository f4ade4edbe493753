//! Files that the configuration names, read no further than is sensible.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file of so many bytes at most: a name that leads to a device, or to something else than
/// was meant, does not fill the memory.
pub fn read_bounded(file: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(file)?.take(max + 1).read_to_end(&mut bytes)?;
    match u64::try_from(read).is_ok_and(|read| read <= max) {
        true => Ok(bytes),
        false => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {max} bytes"),
        )),
    }
}

/// The same of a text.
pub(super) fn read_text(file: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(file, max)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound_and_not_beyond() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(read_bounded(file.path(), 5).unwrap(), b"12345");
        let refused = read_bounded(file.path(), 4).unwrap_err().to_string();
        assert_eq!(refused, "it has more than 4 bytes");
        #[cfg(unix)]
        assert!(read_text(Path::new("/dev/zero"), 1 << 20).is_err());
    }
}

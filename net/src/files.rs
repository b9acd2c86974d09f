//! Files that options name: a password, certificates. Each with a bound, for `/dev/zero` has no end.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Longest password that MQTT 3.1.1 can carry, in bytes (§1.5.3: a two-byte length).
const PASSWORD_MAX: usize = 65_535;

/// Largest file of certificates that is read; all that browsers trust are a quarter of a megabyte.
const CERTIFICATES_MAX: usize = 4 << 20;

/// Names of the files in errors, with the option that names them.
const PASSWORD: &str = "the password (--password-file)";
const CERTIFICATES: &str = "certificates (--ca-file)";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {what} from {}", path.display())]
    Unreadable {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The file of the password has more in it.
    #[error("{} has several lines: write the password into it, and nothing else", .0.display())]
    PasswordLines(PathBuf),
    /// The password is empty or too long.
    #[error(
        "the password in {} has {length} bytes: write one line of 1 to {PASSWORD_MAX} bytes into it",
        .path.display()
    )]
    PasswordLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
}

impl Secret {
    /// Reads a password from a file; one line break at the end is not part of it.
    pub fn from_file(path: &Path) -> Result<Self, FileError> {
        // The longest password and a line break.
        let text = read(PASSWORD, path, PASSWORD_MAX + 2)?;
        let text = String::from_utf8(text).map_err(|_| unusable(PASSWORD, path, "not UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains('\n') {
            return Err(FileError::PasswordLines(path.to_owned()));
        }
        if line.is_empty() || line.len() > PASSWORD_MAX {
            return Err(FileError::PasswordLength { path: path.to_owned(), length: line.len() });
        }
        Ok(Self::new(line.to_owned()))
    }
}

/// Reads a file of certificates.
pub(crate) fn certificates(path: &Path) -> Result<Vec<u8>, FileError> {
    read(CERTIFICATES, path, CERTIFICATES_MAX)
}

fn read(what: &'static str, path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|source| FileError::Unreadable { what, path: path.to_owned(), source })?;
    if bytes.len() > bytes_max {
        return Err(unusable(what, path, &format!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn unusable(what: &'static str, path: &Path, why: &str) -> FileError {
    let source = io::Error::new(io::ErrorKind::InvalidData, why);
    FileError::Unreadable { what, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_password_is_refused_and_none_is_read_without_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            Secret::from_file(file.path()).unwrap_err()
        };
        assert!(matches!(refusal(b""), FileError::PasswordLength { length: 0, .. }));
        assert!(matches!(refusal(b"\n"), FileError::PasswordLength { length: 0, .. }));
        assert!(matches!(refusal(b"one\ntwo\n"), FileError::PasswordLines(_)));
        assert!(matches!(refusal(b"\xff\xfe"), FileError::Unreadable { .. }));
        assert!(matches!(refusal(&vec![b'x'; PASSWORD_MAX + 1]), FileError::PasswordLength { .. }));
        let endless = Secret::from_file(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(endless, FileError::Unreadable { .. }), "{endless}");
        let missing = Secret::from_file(Path::new("/no/such/file")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/file"), "{missing}");
        std::fs::write(file.path(), vec![b'x'; PASSWORD_MAX]).unwrap();
        assert_eq!(Secret::from_file(file.path()).unwrap().expose().len(), PASSWORD_MAX);
    }

    #[test]
    fn a_password_loses_its_line_end_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bytes, password) in [("s3cret \n", "s3cret "), ("hunter2\r\n", "hunter2"), ("x", "x")] {
            std::fs::write(file.path(), bytes).unwrap();
            assert_eq!(Secret::from_file(file.path()).unwrap().expose(), password);
        }
    }
}

//! The file of key-encryption keys.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use base64::Engine as _;
use secrecy::SecretString;
use shared_protocol::random::{self, Random};
use zeroize::Zeroizing;

use super::{BASE64, InvalidKek, KEY_LEN};

/// Past any number of keys that somebody would keep here.
const MAX_BYTES: u64 = 64 * 1024;

pub(super) fn read_or_create(
    path: &Path,
    random: &dyn Random,
) -> Result<Vec<(String, SecretString)>, InvalidKek> {
    let failed = |error| InvalidKek::File(path.display().to_string(), error);
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(path, random).map_err(failed)?;
            File::open(path).map_err(failed)?
        }
        opened => opened.map_err(failed)?,
    };
    if is_open_to_others(&file).map_err(failed)? {
        return Err(InvalidKek::Open(path.display().to_string()));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    text.lines()
        .map(|line| {
            let (id, key) = line
                .split_once(' ')
                .ok_or_else(|| InvalidKek::Line(path.display().to_string()))?;
            Ok((id.to_owned(), SecretString::from(key)))
        })
        .collect()
}

/// Writes the file under another name first: whoever reads it sees all of it. Of several that do this at once, the first
/// to give it its name wins, and all go on with that one.
fn create(path: &Path, random: &dyn Random) -> io::Result<()> {
    // A new name for each new key, so that a lost file is told as a key that is missing.
    let id = format!("file-{}", random::alphanumeric(8, random));
    let key = Zeroizing::new(random::bytes::<KEY_LEN>(random));
    let key = Zeroizing::new(BASE64.encode(*key));
    let line = Zeroizing::new(format!("{id} {}\n", *key));

    let unnamed = path.with_extension(random::alphanumeric(12, random));
    let written = write_new(&unnamed, line.as_bytes());
    let named = written.and_then(|()| fs::hard_link(&unnamed, path));
    match fs::remove_file(&unnamed) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match named {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Ok(()) => sync_folder(path),
        Err(error) => Err(error),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Rows that are sealed under the new key may reach the disk at once; the key's name must be there before.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions());
    Ok(mode & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> io::Result<bool> {
    Ok(false)
}

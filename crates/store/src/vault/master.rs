//! Finds, makes and replaces the master key; it never reads the environment and never stores a key beside the
//! secrets it protects.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use policy::Secret;
use zeroize::Zeroizing;

use super::envelope::{self, Proof};
use super::{VaultError, VaultNotice};

const FILE_NAME: &str = "master.key";
/// More than 64 hex characters and a line end is no key.
const FILE_BYTES_MAX: u64 = 256;

/// Where the master key comes from.
#[derive(Debug, Clone, Default)]
pub enum MasterKeySource {
    /// 64 hex characters, as `LOCKGATE_MASTER_KEY` has them.
    Value(Secret),
    /// A file with 64 hex characters.
    File(PathBuf),
    /// `master.key` in the data folder, made at the very first start.
    #[default]
    DataFolder,
}

/// The key over all data keys. It cannot be printed.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl MasterKey {
    /// A key from 64 hex characters, with or without a line end.
    pub fn from_hex(text: &str) -> Result<Self, VaultError> {
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), key.as_mut_slice()).map_err(|_| VaultError::Malformed)?;
        Ok(Self(key))
    }

    /// A new key.
    pub fn generate() -> Result<Self, VaultError> {
        envelope::random().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names the key without telling anything of it.
    pub(crate) fn id(&self) -> [u8; 8] {
        let mut named = Zeroizing::new(b"lockgate master key id\0".to_vec());
        named.extend_from_slice(self.0.as_slice());
        let mut id = [0; 8];
        id.copy_from_slice(&digest(&SHA256, &named).as_ref()[..8]);
        id
    }

    fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()) + "\n")
    }
}

/// A file with the master key in it, and beside it, while a rotation is on, one with the next.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    next: PathBuf,
}

/// The key that fits `proof`, or, when there is no proof yet, the key to begin with.
pub(super) fn find(
    source: MasterKeySource,
    data_dir: &Path,
    proof: Option<&Proof>,
) -> Result<(MasterKey, Option<KeyFile>, Option<VaultNotice>), VaultError> {
    let (path, may_make) = match source {
        MasterKeySource::Value(value) => {
            let key = MasterKey::from_hex(value.expose())?;
            return fits(&key, proof).map(|()| (key, None, None));
        }
        MasterKeySource::File(path) => (path, false),
        MasterKeySource::DataFolder => (data_dir.join(FILE_NAME), true),
    };
    let file = KeyFile::at(path);
    if let Some(key) = file.read(proof)? {
        return fits(&key, proof).map(|()| (key, Some(file), None));
    }
    if proof.is_some() || !may_make {
        return Err(VaultError::Missing(format!("{} does not exist", file.path.display())));
    }
    let key = MasterKey::generate()?;
    write_new(&file.path, &key).map_err(|error| refused(&file.path, &error))?;
    let notice = VaultNotice::Created(file.path.clone());
    Ok((key, Some(file), Some(notice)))
}

fn fits(key: &MasterKey, proof: Option<&Proof>) -> Result<(), VaultError> {
    match proof {
        Some(proof) if !envelope::holds(proof, key) => {
            Err(VaultError::Wrong { needed: hex::encode(proof.key_id), given: hex::encode(key.id()) })
        }
        Some(_) | None => Ok(()),
    }
}

impl KeyFile {
    pub(super) fn at(path: PathBuf) -> Self {
        let mut next = path.clone().into_os_string();
        next.push(".next");
        Self { path, next: next.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The key in the file. A rotation that was killed is brought to its end: whichever key fits stays.
    fn read(&self, proof: Option<&Proof>) -> Result<Option<MasterKey>, VaultError> {
        let next = read_key(&self.next);
        if let (Some(proof), Ok(Some(next))) = (proof, &next)
            && envelope::holds(proof, next)
        {
            self.replace()?;
        }
        read_key(&self.path)
    }

    /// Puts `new` safely beside the present key, before anything is under it.
    pub(super) fn announce(&self, current: &MasterKey, new: &MasterKey) -> Result<(), VaultError> {
        if let Ok(Some(left)) = read_key(&self.next)
            && left.id() == current.id()
        {
            // An earlier rotation could not end the files; the key in force must not be overwritten.
            self.replace()?;
        }
        let write = || {
            match std::fs::remove_file(&self.next) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            write_new(&self.next, new)
        };
        write().map_err(|error| refused(&self.next, &error))
    }

    /// Makes the announced key the only one.
    pub(super) fn replace(&self) -> Result<(), VaultError> {
        std::fs::rename(&self.next, &self.path)
            .and_then(|()| sync_folder(&self.path))
            .map_err(|error| refused(&self.path, &error))
    }
}

fn read_key(path: &Path) -> Result<Option<MasterKey>, VaultError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, &error)),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| refused(path, &error))?;
    MasterKey::from_hex(&text).map(Some)
}

fn write_new(path: &Path, key: &MasterKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.hex().as_bytes())?;
    file.sync_all()?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn refused(path: &Path, error: &io::Error) -> VaultError {
    VaultError::File { path: path.display().to_string(), kind: error.kind() }
}

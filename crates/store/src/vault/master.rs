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
    /// 64 hex characters, as `LOCKGATE_MASTER_KEY` has them, and the next ones for the time of a rotation.
    Value {
        /// The key.
        key: Secret,
        /// The key after the next rotation; in force already when that has happened.
        next: Option<Secret>,
    },
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

/// What a vault begins with.
pub(super) struct Found {
    pub(super) key: MasterKey,
    pub(super) next: Option<MasterKey>,
    pub(super) file: Option<KeyFile>,
    pub(super) notice: Option<VaultNotice>,
}

/// The key that fits `proof`, or, when there is no proof yet, the key to begin with.
pub(super) fn find(
    source: MasterKeySource,
    data_dir: &Path,
    proof: Option<&Proof>,
) -> Result<Found, VaultError> {
    let (path, may_make) = match source {
        MasterKeySource::Value { key, next } => return given(&key, next.as_ref(), proof),
        MasterKeySource::File(path) => (path, false),
        MasterKeySource::DataFolder => (data_dir.join(FILE_NAME), true),
    };
    let file = KeyFile::at(path);
    if let Some(key) = file.read(proof)? {
        fits(&key, proof)?;
        return Ok(Found { key, next: None, file: Some(file), notice: None });
    }
    if proof.is_some() || !may_make {
        return Err(VaultError::Missing(format!("{} does not exist", file.path.display())));
    }
    let key = MasterKey::generate()?;
    write_new(&file.path, &key).map_err(|error| refused(&file.path, &error))?;
    let notice = Some(VaultNotice::Created(file.path.clone()));
    Ok(Found { key, next: None, file: Some(file), notice })
}

/// Whichever of the two keys fits is in force; a rotation may have ended, or been undone by a restore.
fn given(key: &Secret, next: Option<&Secret>, proof: Option<&Proof>) -> Result<Found, VaultError> {
    let key = MasterKey::from_hex(key.expose())?;
    let next = next.map(|next| MasterKey::from_hex(next.expose())).transpose()?;
    let wrong = match fits(&key, proof) {
        Ok(()) => return Ok(Found { key, next, file: None, notice: None }),
        Err(wrong) => wrong,
    };
    let next = next.filter(|next| fits(next, proof).is_ok()).ok_or(wrong)?;
    Ok(Found { key: next, next: None, file: None, notice: Some(VaultNotice::NextInForce) })
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

    /// The keys in the files, as they are just now.
    pub(super) fn written(&self) -> Result<Vec<MasterKey>, VaultError> {
        // In this order: a key that moves from the second file to the first meanwhile is met in one of them.
        Ok([read_key(&self.next)?, read_key(&self.path)?].into_iter().flatten().collect())
    }

    /// Keeps other processes from rotating for as long as it is held.
    pub(super) fn lock(&self) -> Result<File, VaultError> {
        let mut path = self.path.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = open.map_err(|error| refused(&path, &error))?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(VaultError::Rotating),
            Err(error) => Err(refused(&path, &error.into())),
        }
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

//! Seals and opens with AES-256-GCM, one fresh data key for each secret; it never keeps, names or stores a key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::{MasterKey, VaultError};

/// Stands in front of every sealed text: how it was sealed.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + NONCE_LEN;
const PROOF: &str = "vault/proof";

/// A secret as it is stored: its data key under a master key, and itself under the data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key_id: [u8; 8],
    pub(crate) wrapped: Vec<u8>,
    pub(crate) sealed: Vec<u8>,
}

/// Tells whether a master key is the right one before any secret is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) key_id: [u8; 8],
    pub(crate) sealed: Vec<u8>,
}

/// Bytes nobody can foresee.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
    Ok(bytes)
}

/// Encrypts the secret of row `id`.
pub(crate) fn seal(master: &MasterKey, id: &str, secret: &[u8]) -> Result<Sealed, VaultError> {
    let data_key = random::<32>()?;
    Ok(Sealed {
        key_id: master.id(),
        wrapped: encrypt(master.bytes(), &context("key", id), data_key.as_slice())?,
        sealed: encrypt(&data_key, &context("secret", id), secret)?,
    })
}

/// Decrypts the secret of row `id`.
pub(crate) fn open(master: &MasterKey, id: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let altered = || VaultError::Altered(id.to_owned());
    let data_key = unwrap_key(master, id, &sealed.wrapped)?;
    decrypt(&data_key, &context("secret", id), &sealed.sealed).ok_or_else(altered)
}

/// Puts the data key of row `id` under another master key; the secret itself is not touched.
pub(crate) fn rewrap(
    old: &MasterKey,
    new: &MasterKey,
    id: &str,
    wrapped: &[u8],
) -> Result<Vec<u8>, VaultError> {
    encrypt(new.bytes(), &context("key", id), unwrap_key(old, id, wrapped)?.as_slice())
}

fn unwrap_key(master: &MasterKey, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let altered = || VaultError::Altered(id.to_owned());
    let bytes = decrypt(master.bytes(), &context("key", id), wrapped).ok_or_else(altered)?;
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(altered());
    }
    key.copy_from_slice(&bytes);
    Ok(key)
}

/// What proves later that a key is `master`.
pub(crate) fn prove(master: &MasterKey) -> Result<Proof, VaultError> {
    Ok(Proof {
        key_id: master.id(),
        sealed: encrypt(master.bytes(), &context("proof", PROOF), PROOF.as_bytes())?,
    })
}

/// Whether `master` is the key that made the proof.
pub(crate) fn holds(proof: &Proof, master: &MasterKey) -> bool {
    proof.key_id == master.id() && decrypt(master.bytes(), &context("proof", PROOF), &proof.sealed).is_some()
}

/// The associated data: a sealed text opens in its own row and role only.
pub(crate) fn context(role: &str, id: &str) -> Vec<u8> {
    let mut context = vec![VERSION];
    context.extend_from_slice(role.as_bytes());
    context.push(0);
    context.extend_from_slice(id.as_bytes());
    context
}

/// Seals under a data key, in a context.
pub(crate) fn encrypt(key: &[u8; 32], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
    let mut sealed = Zeroizing::new(plain.to_vec());
    let tag = key.seal_in_place_separate_tag(Aad::from(context), sealed.as_mut_slice());
    let (nonce, tag) = tag.map_err(|_| VaultError::NoRandomness)?;
    let mut text = Vec::with_capacity(HEAD_BYTES + sealed.len() + tag.as_ref().len());
    text.push(VERSION);
    text.extend_from_slice(nonce.as_ref());
    text.extend_from_slice(&sealed);
    text.extend_from_slice(tag.as_ref());
    Ok(text)
}

/// Opens what was sealed under a data key in the same context.
pub(crate) fn decrypt(key: &[u8; 32], context: &[u8], text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, sealed) = text.split_first_chunk::<HEAD_BYTES>()?;
    let (version, nonce) = head.split_first()?;
    if *version != VERSION {
        return None;
    }
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).ok()?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut opened = Zeroizing::new(sealed.to_vec());
    let length = key.open_in_place(nonce, Aad::from(context), opened.as_mut_slice()).ok()?.len();
    opened.truncate(length);
    Some(opened)
}

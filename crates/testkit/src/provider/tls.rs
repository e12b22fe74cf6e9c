//! Makes the provider a certificate of its own; never one that a machine trusts.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// A fresh certificate with its key, and the acceptor that shows it.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) acceptor: TlsAcceptor,
}

impl Identity {
    pub(super) fn new() -> io::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut terms = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
            })
            .map_err(io::Error::other)?;
        terms.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { certificate: made.cert.pem(), acceptor: TlsAcceptor::from(Arc::new(terms)) })
    }
}

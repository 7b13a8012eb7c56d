//! The door of an HTTP listener over TLS: the handshake, who stands there, and who may come in.
//!
//! A client's certificate is asked for, and one that nobody trusts breaks no handshake: the client is told so in an
//! answer that it can read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::credentials::Credentials;
use super::provider;
use super::trust::Trust;
use crate::config::TlsMode;
use crate::http::listener::Connection;

/// The first byte of whatever TLS is: a handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// What whoever speaks plain HTTP is told.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    This port speaks TLS: ask it with https://\n";

/// What orchestrators ask without certificates: it tells nothing but that the process is there.
const OPEN: [&str; 3] = ["/livez", "/ready", "/startupz"];

/// The door of one listener.
pub(crate) struct Door {
    acceptor: TlsAcceptor,
    trust: Arc<Trust>,
    mode: TlsMode,
}

/// Who has come in over TLS, as far as certificates tell. It is among the extensions of every request over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Somebody without a certificate.
    Unnamed,
    /// Somebody with a certificate of a CA that is trusted.
    Trusted,
    /// Somebody with another one, and what is wrong with it.
    Untrusted(Arc<str>),
}

/// A connection, with TLS or without.
pub(crate) enum Stream {
    /// Without.
    Plain(Connection),
    /// With.
    Tls(Box<TlsStream<Connection>>),
}

impl Door {
    /// A door of whoever `credentials` are of, which knows those that `trust` trusts.
    pub(super) fn new(mode: TlsMode, credentials: Arc<Credentials>, trust: Arc<Trust>) -> Self {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.expect("ring speaks every version that rustls does");
        let mut config =
            config.with_client_cert_verifier(Arc::new(Anybody(provider()))).with_cert_resolver(credentials);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), trust, mode }
    }

    /// Shakes hands. The caller bounds the time; dropping the future closes the connection.
    ///
    /// # Errors
    /// When the client breaks off, or speaks something else.
    pub(crate) async fn open(&self, mut connection: Connection) -> io::Result<(Stream, Visitor)> {
        if connection.first_byte().await? != HANDSHAKE {
            connection.write_all(NOT_TLS).await?;
            connection.shutdown().await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let stream = self.acceptor.accept(connection).await?;
        let visitor = match stream.get_ref().1.peer_certificates() {
            None | Some([]) => Visitor::Unnamed,
            Some(chain) => match self.trust.check(chain) {
                Ok(()) => Visitor::Trusted,
                Err(why) => Visitor::Untrusted(why.into()),
            },
        };
        Ok((Stream::Tls(Box::new(stream)), visitor))
    }

    /// What is asked of clients.
    pub(crate) fn mode(&self) -> TlsMode {
        self.mode
    }
}

/// Middleware that lets in whom the mode lets in, with the words of the existing system for the others.
pub(crate) async fn admit(State(mode): State<TlsMode>, request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let refusal = match request.extensions().get::<Visitor>() {
        Some(Visitor::Untrusted(why)) => json!({"error": "untrusted certificate", "detail": &**why}),
        Some(Visitor::Unnamed) | None if mode == TlsMode::Strict => json!({"error": "client certificate required"}),
        _ => return next.run(request).await,
    };
    (StatusCode::FORBIDDEN, Json(refusal)).into_response()
}

/// Takes any certificate whose key the client holds.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

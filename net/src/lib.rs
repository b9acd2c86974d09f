//! What every process of ours needs at its edge, once: the clock, TLS, addresses of brokers, secrets, and what people
//! write in options.

mod broker_url;
mod clock;
mod files;
mod secret;
mod span;
mod tls;

pub use broker_url::{BrokerUrl, BrokerUrlError};
pub use clock::Clock;
pub use files::FileError;
pub use secret::{Login, Secret};
pub use span::parse_span;
pub use tls::{TlsError, trust, trust_file};

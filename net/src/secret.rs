//! Texts that do not show themselves.

use secrecy::{ExposeSecret as _, SecretString};

/// A password or a key: nothing prints it, and its memory is overwritten once it is of no use.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes it as it is.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// Who a client is to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let login = Login { username: "me".into(), password: Secret::new("hunter2".into()) };
        let shown = format!("{login:?}");
        assert!(shown.contains("me") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(login.password.expose(), "hunter2");
        assert_ne!(login.password, Secret::new("hunter3".into()));
    }
}

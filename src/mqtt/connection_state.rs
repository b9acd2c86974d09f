//! The state of a connection to a broker: one word for each way in which it can be wrong.

/// Why a source is up or down. The words are the values of the label `reason` of `vernescale_source_up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The first attempt is under way.
    Connecting,
    /// Subscribed; the first message is to come within an interval of the broker, 20 s by default.
    Subscribed,
    /// Subscribed, and messages come.
    Up,
    /// Subscribed, but no message comes. A broker that grants every subscription and then delivers nothing that the
    /// ACL forbids, as mosquitto does, looks like that too.
    NoMessages,
    /// Subscribed, and what comes is no metric of VerneMQ or mosquitto: another broker.
    ForeignTree,
    /// The TCP connection was refused: nobody listens there.
    TcpRefused,
    /// The address does not resolve, or there is no way to it.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// CONNACK 4: bad user name or password.
    BadCredentials,
    /// CONNACK 5: not authorized.
    NotAuthorized,
    /// CONNACK 3: server unavailable, VerneMQ's answer in a netsplit and during a leave.
    ServerUnavailable,
    /// CONNACK 1 (protocol version, and MQTT 5 was tried as well) or 2 (client id), or another refusal of MQTT 5.
    ConnectRefused,
    /// SUBACK 0x80 or above: an ACL refuses the subscription, or VerneMQ is in a netsplit.
    AclRefused,
    /// Connected, but not a byte comes any more, or no answer to a connect.
    Silent,
    /// The broker closed the connection.
    Closed,
    /// A packet beyond the limit.
    TooLarge,
    /// Not MQTT.
    Protocol,
}

impl Link {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Connecting,
        Self::Subscribed,
        Self::Up,
        Self::NoMessages,
        Self::ForeignTree,
        Self::TcpRefused,
        Self::Unreachable,
        Self::Tls,
        Self::BadCredentials,
        Self::NotAuthorized,
        Self::ServerUnavailable,
        Self::ConnectRefused,
        Self::AclRefused,
        Self::Silent,
        Self::Closed,
        Self::TooLarge,
        Self::Protocol,
    ];

    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Subscribed => "subscribed",
            Self::Up => "up",
            Self::NoMessages => "no_messages",
            Self::ForeignTree => "foreign_tree",
            Self::TcpRefused => "tcp_refused",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls_failed",
            Self::BadCredentials => "bad_credentials",
            Self::NotAuthorized => "not_authorized",
            Self::ServerUnavailable => "server_unavailable",
            Self::ConnectRefused => "connect_refused",
            Self::AclRefused => "acl_refused",
            Self::Silent => "silent",
            Self::Closed => "closed",
            Self::TooLarge => "packet_too_large",
            Self::Protocol => "protocol_error",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Connecting | Self::Subscribed | Self::Up => "nothing to do",
            Self::NoMessages => {
                "does the ACL let this user read $SYS/#? mosquitto grants the subscription all the same and then \
                 delivers nothing; and is $SYS on: systree_enabled (VerneMQ), sys_interval (mosquitto)?"
            }
            Self::ForeignTree => {
                "point --broker at a VerneMQ or mosquitto, and --topic below $SYS: numbers of other brokers mean other \
                 things, so none is shown"
            }
            Self::TcpRefused => "is the broker running, and is the port that of its MQTT listener?",
            Self::Unreachable => "check the host name, the network and its policies",
            Self::Tls => "check --ca-file, and that the certificate names this host",
            Self::BadCredentials => "check --username and --password-file",
            Self::NotAuthorized => {
                "give this user or client id access, or set --username and --password-file"
            }
            Self::ServerUnavailable => {
                "a member is down or leaving: look at `vmq-admin cluster show`; retrying until it is over"
            }
            Self::ConnectRefused => {
                "check --client-id, and that the listener allows MQTT 3.1.1 or 5 (allowed_protocol_versions)"
            }
            Self::AclRefused => {
                "allow reading $SYS/# for this user, and look for a member that is down in `cluster show`"
            }
            Self::Silent => {
                "the broker or the way to it hangs; connecting anew. Where /health is well, its listener may be full: \
                 look at active_conns in `vmq-admin listener show`; it takes max_connections for each of its \
                 nr_of_acceptors (10 by default), and the next client is never answered"
            }
            Self::Closed => {
                "look into the broker's log; two clients with one client id do this to each other; before a CONNACK: \
                 is this an MQTT listener, and is the broker not full (max_connections)?"
            }
            Self::TooLarge => {
                "narrow --topic to $SYS/#, whose messages have 100 bytes: a wider filter brings what clients publish, \
                 and the packet that is too large comes again each time while it is retained"
            }
            Self::Protocol => "is this an MQTT listener, without TLS if the address says mqtt://?",
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

/// What a connection has come to; mostly its end.
pub(super) struct Ended {
    pub(super) link: Link,
    pub(super) cause: String,
}

impl Ended {
    /// The broker itself has answered, and means this client: what it says is the answer.
    pub(super) fn by_the_broker(&self) -> bool {
        matches!(
            self.link,
            Link::BadCredentials | Link::NotAuthorized | Link::ServerUnavailable | Link::AclRefused
        )
    }

    /// There was nobody to refuse anything.
    pub(super) fn not_reached(&self) -> bool {
        matches!(self.link, Link::TcpRefused | Link::Unreachable | Link::Tls)
    }
}

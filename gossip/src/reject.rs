//! Why input was refused: values to count, never a reason to stop.

/// Why something a peer sent was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// A packet or rumour that cannot be decoded.
    Malformed,
    /// A signature that is not its claimed owner's.
    Forged,
    /// A ping for somebody else.
    NotForUs,
    /// An answer to a question that we never asked, or no longer ask.
    Unasked,
    /// An accusation of a life that the accused has not (or no longer).
    StaleAccusation,
    /// A record of a life or version that is void.
    VoidRecord,
    /// A member whose key the operator banned.
    Banned,
    /// The roster is full of members that answered.
    RosterFull,
    /// Too many questions to relay at once.
    TooManyRelays,
    /// An order that the operator did not sign, or one too many.
    BadOrder,
    /// Too many accusations of ourselves in a short time.
    RefutedEnough,
    /// More records, or larger ones, than one member may have.
    TooManyRecords,
    /// A message of a kind that this version does not know.
    UnknownKind,
}

impl Reject {
    /// Every reason, for tables of counters.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Forged,
        Self::NotForUs,
        Self::Unasked,
        Self::StaleAccusation,
        Self::VoidRecord,
        Self::Banned,
        Self::RosterFull,
        Self::TooManyRelays,
        Self::BadOrder,
        Self::RefutedEnough,
        Self::TooManyRecords,
        Self::UnknownKind,
    ];

    /// The reason as a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::NotForUs => "not_for_us",
            Self::Unasked => "unasked",
            Self::StaleAccusation => "stale_accusation",
            Self::VoidRecord => "void_record",
            Self::Banned => "banned",
            Self::RosterFull => "roster_full",
            Self::TooManyRelays => "too_many_relays",
            Self::BadOrder => "bad_order",
            Self::RefutedEnough => "refuted_enough",
            Self::TooManyRecords => "too_many_records",
            Self::UnknownKind => "unknown_kind",
        }
    }
}

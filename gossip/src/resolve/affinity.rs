//! Which of several equals a session goes to first: rendezvous hashing. Everybody who sees the same equals agrees, and
//! when one of them goes only its own sessions move.

use crate::catalog::{AgentId, Owner};
use crate::id::MemberId;

/// The one of `equals` that `session` goes to; `None` when there are none. The order of `equals` does not matter.
pub fn home<'a>(session: &str, equals: impl IntoIterator<Item = &'a Owner>) -> Option<&'a Owner> {
    let session = blake3::derive_key("mesh 2026 session affinity", session.as_bytes());
    equals.into_iter().max_by_key(|owner| (weight(&session, &owner.agent, owner.member), *owner))
}

fn weight(session: &[u8; 32], agent: &AgentId, member: MemberId) -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(session);
    hasher.update(member.as_bytes()).update(agent.as_str().as_bytes());
    let mut weight = [0; 8];
    weight.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(weight)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::home;
    use crate::catalog::{AgentId, Owner};
    use crate::id::MemberId;

    fn owners(count: u8) -> Vec<Owner> {
        let owner = |number| {
            let member = MemberId::from_bytes([number; 16]);
            Owner { member, agent: AgentId::native("history", &member).unwrap() }
        };
        (0..count).map(owner).collect()
    }

    #[test]
    fn nobody_is_nobodys_home() {
        assert_eq!(home("anna", &[]), None);
    }

    #[test]
    fn sessions_spread_evenly() {
        let owners = owners(4);
        let mut served = [0_u32; 4];
        for session in 0..4000 {
            let home = home(&format!("session-{session}"), &owners).unwrap();
            served[owners.iter().position(|owner| owner == home).unwrap()] += 1;
        }
        assert!(served.iter().all(|count| count.abs_diff(1000) < 120), "{served:?}");
    }

    proptest! {
        #[test]
        fn everybody_agrees_whatever_the_order(session in "\\PC{1,40}", count in 1_u8..30, turn in 0_usize..30) {
            let mut owners = owners(count);
            let chosen = home(&session, &owners).cloned();
            owners.rotate_left(turn % usize::from(count));
            prop_assert_eq!(home(&session, &owners), chosen.as_ref());
        }

        #[test]
        fn when_one_goes_only_its_own_sessions_move(session in "\\PC{1,40}", count in 2_u8..30, gone in 0_usize..30) {
            let mut owners = owners(count);
            let before = home(&session, &owners).cloned().unwrap();
            let gone = owners.remove(gone % usize::from(count));
            let after = home(&session, &owners).unwrap();
            prop_assert!(before == gone || before == *after);
        }
    }
}

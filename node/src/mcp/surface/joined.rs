//! Two tool hosts as one.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::context::CallContext;
use crate::tool::{Fault, Payload, ToolDescriptor, ToolHost, Tools};

/// The tools of two hosts; where both have one of a name, the first one's is called.
pub(super) struct Joined {
    first: Arc<dyn ToolHost>,
    second: Arc<dyn ToolHost>,
    tools: watch::Receiver<Tools>,
    /// Keeps the list up to date; ends with the host.
    _follower: AbortOnDropHandle<()>,
}

impl Joined {
    pub(super) fn new(first: Arc<dyn ToolHost>, second: Arc<dyn ToolHost>) -> Self {
        let (mut firsts, mut seconds) = (first.tools(), second.tools());
        let (told, tools) = watch::channel(both(&firsts.borrow_and_update(), &seconds.borrow_and_update()));
        let follower = tokio::spawn(async move {
            loop {
                // A host whose list cannot change any more keeps it.
                let changed = tokio::select! {
                    Ok(()) = firsts.changed() => true,
                    Ok(()) = seconds.changed() => true,
                    else => false,
                };
                if !changed {
                    return told.closed().await;
                }
                told.send_replace(both(&firsts.borrow_and_update(), &seconds.borrow_and_update()));
            }
        });
        Self { first, second, tools, _follower: AbortOnDropHandle::new(follower) }
    }
}

#[async_trait]
impl ToolHost for Joined {
    fn tools(&self) -> watch::Receiver<Tools> {
        self.tools.clone()
    }

    async fn call(&self, tool: &ToolDescriptor, arguments: Bytes, context: CallContext) -> Result<Payload, Fault> {
        let is_first = self.first.tools().borrow().iter().any(|own| own.name == tool.name);
        let host = if is_first { &self.first } else { &self.second };
        host.call(tool, arguments, context).await
    }
}

fn both(first: &Tools, second: &Tools) -> Tools {
    let names: BTreeSet<&str> = first.iter().map(|tool| &*tool.name).collect();
    let others = second.iter().filter(|tool| !names.contains(&*tool.name));
    first.iter().chain(others).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    struct Fixed(watch::Sender<Tools>);

    #[async_trait]
    impl ToolHost for Fixed {
        fn tools(&self) -> watch::Receiver<Tools> {
            self.0.subscribe()
        }

        async fn call(&self, _: &ToolDescriptor, _: Bytes, _: CallContext) -> Result<Payload, Fault> {
            unreachable!("nobody calls")
        }
    }

    fn tools(names: &[&'static str]) -> Tools {
        names.iter().map(|name| Arc::new(ToolDescriptor::new(*name))).collect()
    }

    #[tokio::test]
    async fn both_lists_are_one_and_stay_up_to_date() {
        let (first, second) = (watch::Sender::new(tools(&["a", "b"])), watch::Sender::new(tools(&["b", "c"])));
        let joined = Joined::new(Arc::new(Fixed(first)), Arc::new(Fixed(second.clone())));
        let names = |tools: &Tools| tools.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>();
        let mut followed = joined.tools();
        assert_eq!(names(&followed.borrow_and_update()), ["a", "b", "c"]);
        second.send_replace(tools(&["d"]));
        followed.changed().await.unwrap();
        assert_eq!(names(&followed.borrow()), ["a", "b", "d"]);
    }
}

//! Where the actors are found that others write to.

use actix::dev::RecipientRequest;
use actix::prelude::*;

use super::{
    Act, Admit, AllRestored, EndWithdrawn, ForTrie, KeepChanges, Left, LookThrough, ObserveClient,
    ObserveRetained, ObserveSessions, ObserveTrie, PublishSys, PublishWills, Query, SendChanges, ShutDown,
    TrieMadeAnew, WillsJudged,
};

/// An actor that takes these messages.
pub trait Takes<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// Where they are sent.
    fn recipient(&self) -> &Recipient<M>;

    /// Asks, and waits for the answer.
    fn send(&self, message: M) -> RecipientRequest<M> {
        self.recipient().send(message)
    }
}

macro_rules! address {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $message:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $($field: Recipient<$message>,)+
        }

        impl $name {
            /// Of an actor that takes all of them.
            pub(crate) fn of<A>(address: &Addr<A>) -> Self
            where
                A: Actor<Context = Context<A>>,
                $(A: Handler<$message>,)+
            {
                Self { $($field: address.clone().recipient(),)+ }
            }
        }

        $(impl Takes<$message> for $name {
            #[inline]
            fn recipient(&self) -> &Recipient<$message> {
                &self.$field
            }
        })+
    };
}

address!(
    /// Where a topic trie is found.
    TrieAddress {
        work: ForTrie,
        observe: ObserveTrie,
    }
);

address!(
    /// Where a sessions actor is found.
    SessionsAddress {
        admit: Admit,
        left: Left,
        wills_judged: WillsJudged,
        end_withdrawn: EndWithdrawn,
        trie_made_anew: TrieMadeAnew,
        publish_wills: PublishWills,
        publish_sys: PublishSys,
        all_restored: AllRestored,
        send_changes: SendChanges,
        keep_changes: KeepChanges,
        shut_down: ShutDown,
        observe: ObserveSessions,
        observe_client: ObserveClient,
        look_through: LookThrough,
        act: Act,
    }
);

address!(
    /// Where the retained actor is found.
    RetainedAddress {
        query: Query,
        observe: ObserveRetained,
    }
);

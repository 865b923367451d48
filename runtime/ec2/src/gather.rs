//! Calls about several things, made of what several ask for at once.
//!
//! Whoever wants something joins the others who want the same. The first of them makes the call for all, in a task of
//! its own, so that nobody waits in vain where one goes away. Nothing here knows what is called. Its main type is
//! [`Gather`].

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

/// Those who wait for calls: who wants the same `K` may be served by one.
pub(crate) struct Gather<K, M, R> {
    groups: Mutex<Vec<Group<K, M, R>>>,
}

struct Group<K, M, R> {
    key: K,
    members: Vec<Member<M, R>>,
}

/// One who waits.
pub(crate) struct Member<M, R> {
    /// What is wanted.
    pub(crate) wanted: M,
    answer: oneshot::Sender<R>,
}

impl<M, R> Member<M, R> {
    /// Tells what came of it; gives it back where nobody waits for it any more.
    pub(crate) fn answer(self, answer: R) -> Option<R> {
        self.answer.send(answer).err()
    }
}

/// What comes of having joined.
pub(crate) struct Joined<R> {
    /// What comes of the call.
    pub(crate) answer: oneshot::Receiver<R>,
    /// Whether nobody was there before, so that whoever joined has to see to the calls.
    pub(crate) is_first: bool,
}

impl<K, M, R> Default for Gather<K, M, R> {
    fn default() -> Self {
        Self {
            groups: Mutex::default(),
        }
    }
}

impl<K: PartialEq + Clone, M, R> Gather<K, M, R> {
    /// Joins those who want the same.
    pub(crate) fn join(&self, key: &K, wanted: M) -> Joined<R> {
        let (answer, received) = oneshot::channel();
        let member = Member { wanted, answer };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let known = groups.iter_mut().find(|group| group.key == *key);
        let is_first = known.is_none();
        match known {
            Some(group) => group.members.push(member),
            None => groups.push(Group {
                key: key.clone(),
                members: vec![member],
            }),
        }
        Joined {
            answer: received,
            is_first,
        }
    }

    /// Puts back one who was taken, and waits on. Only by whoever sees to the calls.
    pub(crate) fn put_back(&self, key: &K, member: Member<M, R>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        match groups.iter_mut().find(|group| group.key == *key) {
            Some(group) => group.members.push(member),
            None => groups.push(Group {
                key: key.clone(),
                members: vec![member],
            }),
        }
    }

    /// Whether anybody waits still; where nobody does, the next who joins is the first again.
    pub(crate) fn is_wanted(&self, key: &K) -> bool {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| group.key != *key || !group.members.is_empty());
        groups.iter().any(|group| group.key == *key)
    }

    /// Takes those for the next call who still wait, the least first: as many as `fit` together, and one at least where
    /// there is any.
    pub(crate) fn take(&self, key: &K, fit: impl Fn(&[M]) -> bool) -> Vec<Member<M, R>>
    where
        M: Ord + Clone,
    {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = groups.iter_mut().find(|group| group.key == *key) else {
            return Vec::new();
        };
        group.members.retain(|member| !member.answer.is_closed());
        group
            .members
            .sort_by(|one, other| one.wanted.cmp(&other.wanted));
        let mut wanted: Vec<M> = Vec::new();
        for member in &group.members {
            wanted.push(member.wanted.clone());
            if wanted.len() > 1 && !fit(&wanted) {
                wanted.pop();
                break;
            }
        }
        group.members.drain(..wanted.len()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_fit_are_taken_and_the_next_is_the_first_again() {
        let gather: Gather<&str, u32, u32> = Gather::default();
        let joined: Vec<_> = [3, 1, 2].map(|of| gather.join(&"one", of)).into();
        let other = gather.join(&"other", 9);
        let firsts: Vec<_> = joined.iter().map(|joined| joined.is_first).collect();
        assert_eq!(firsts, [true, false, false]);
        assert!(other.is_first);

        let mut taken = Vec::new();
        while gather.is_wanted(&"one") {
            let members = gather.take(&"one", |wanted| wanted.len() <= 2);
            taken.push(members.iter().map(|of| of.wanted).collect::<Vec<_>>());
            for member in members {
                let answer = member.wanted * 10;
                assert_eq!(member.answer(answer), None);
            }
        }
        assert_eq!(taken, [vec![1, 2], vec![3]]);
        let answers = joined.into_iter().map(|mut of| of.answer.try_recv());
        assert_eq!(answers.collect::<Vec<_>>(), [Ok(30), Ok(10), Ok(20)]);
        let back = gather.join(&"one", 4);
        assert!(back.is_first);
        for member in gather.take(&"one", |_| true) {
            gather.put_back(&"one", member);
        }
        assert!(!gather.join(&"one", 5).is_first);
        assert!(gather.is_wanted(&"other"));
    }

    #[test]
    fn who_does_not_wait_any_more_is_asked_for_no_more() {
        let gather: Gather<(), u32, u32> = Gather::default();
        let (stays, goes) = (gather.join(&(), 1), gather.join(&(), 2));
        let later = gather.join(&(), 3);
        drop(goes);
        let mut members = gather.take(&(), |_| true);
        assert_eq!(members.len(), 2);
        drop(later);
        let last = members.pop().expect("it was there");
        assert_eq!(last.answer(30), Some(30));
        drop(stays);
    }

    #[test]
    fn one_is_taken_even_where_it_does_not_fit() {
        let gather: Gather<(), u32, ()> = Gather::default();
        let joined = gather.join(&(), 1);
        assert_eq!(gather.take(&(), |_| false).len(), 1);
        drop(joined);
    }
}

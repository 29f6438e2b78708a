//! Cancel scopes: the tokens that new operations belong to.

use std::rc::Rc;

use compio_io::panics::discard;

use super::core::{Core, TokenState};
use crate::{key::Key, wait_list::sweep};

impl TokenState {
    /// Requests the cancellation of the operations, and wakes the waiting tasks.
    pub(crate) fn cancel(&self) {
        if self.is_cancelled.replace(true) {
            return;
        }
        // The newest first: see `Core::cancel_all`.
        for (driver, key) in self.operations.take().into_iter().rev() {
            if let Some(driver) = driver.upgrade()
                && driver.arena.is_pending(key)
            {
                driver.cancel(key);
            }
        }
        if let Some(panic) = self.waiters.wake() {
            discard(panic);
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    fn add(&self, driver: &Rc<Core>, key: Key) {
        let mut operations = self.operations.borrow_mut();
        sweep(&mut operations, |(driver, key)| {
            let driver = driver.upgrade();
            driver.is_none_or(|driver| !driver.arena.is_pending(*key))
        });
        operations.push((Rc::downgrade(driver), key));
    }
}

impl Core {
    /// Returns the scope's index in the stack.
    pub(crate) fn enter_scope(&self, token: Rc<TokenState>) -> usize {
        let mut scopes = self.scopes.borrow_mut();
        scopes.push(Some(token));
        self.is_fast_path.set(false);
        scopes.len() - 1
    }

    pub(crate) fn leave_scope(&self, index: usize) -> Option<Rc<TokenState>> {
        let mut scopes = self.scopes.borrow_mut();
        let left = scopes[index].take();
        while scopes.pop_if(|scope| scope.is_none()).is_some() {}
        drop(scopes);
        self.update_fast_path();
        left
    }

    /// Whether a token of the active scopes has been cancelled.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        let scopes = self.scopes.borrow();
        scopes.iter().flatten().any(|token| token.is_cancelled())
    }

    /// The tokens of the active scopes.
    pub(crate) fn active_tokens(&self) -> Vec<Rc<TokenState>> {
        self.scopes.borrow().iter().flatten().cloned().collect()
    }

    /// Adds an operation to the active scopes.
    pub(super) fn add_to_scopes(self: &Rc<Self>, key: Key) {
        for token in self.scopes.borrow().iter().flatten() {
            token.add(self, key);
        }
    }
}

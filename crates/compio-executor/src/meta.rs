//! The identity of tasks: number, name, and place of the spawn.

use std::{
    cell::Cell,
    fmt,
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The number of a task. No two tasks of a process have the same one, unless their executors were given copies of
/// one [`TaskMeta`].
///
/// Numbers of one thread's spawns increase. Numbers of several threads come in no order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// How many numbers a thread takes at once.
const BLOCK: u64 = 1024;

impl TaskId {
    #[inline]
    pub(crate) fn next() -> Self {
        thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        let mut next = NEXT.get();
        if next.is_multiple_of(BLOCK) {
            next = first_of_block();
        }
        NEXT.set(next + 1);
        Self(next)
    }

    /// The number. It is never 0.
    #[inline]
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// The task with this number. `None` for 0.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }
}

/// The first number of a new block. Multiples of [`BLOCK`] are not used: they mark the end of a block.
#[cold]
fn first_of_block() -> u64 {
    static BLOCKS: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only the number itself must be unique. It does not overflow within centuries.
    BLOCKS.fetch_add(1, Ordering::Relaxed) * BLOCK + 1
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

/// The identity of a task: its number, its name if it has one, and the place of its spawn.
///
/// # Example
///
/// ```
/// use compio::task::{self, Builder, block_on};
///
/// block_on(async {
///     let task = Builder::new().name("answer").spawn(async { task::current() });
///     let id = task.id();
///     let meta = task.await.unwrap().expect("it runs in a task");
///     assert_eq!((meta.id(), meta.name()), (id, Some("answer")));
///     assert!(meta.location().file().ends_with(".rs"));
/// });
/// ```
#[derive(Clone)]
pub struct TaskMeta {
    id: TaskId,
    location: &'static Location<'static>,
    name: Option<Arc<str>>,
}

impl TaskMeta {
    /// The identity of a new task without a name, which is spawned at the place of the call.
    #[inline]
    #[must_use]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "each call makes another number")]
    pub fn new() -> Self {
        Self {
            id: TaskId::next(),
            location: Location::caller(),
            name: None,
        }
    }

    /// The same with a name, which need not be unique.
    #[must_use]
    pub fn with_name(self, name: impl Into<Arc<str>>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    pub(crate) fn from_parts(
        id: TaskId,
        location: &'static Location<'static>,
        name: Option<Arc<str>>,
    ) -> Self {
        Self { id, location, name }
    }

    /// The parts that a task has in its header, and its name.
    pub(crate) fn into_parts(self) -> (TaskId, &'static Location<'static>, Option<Arc<str>>) {
        (self.id, self.location, self.name)
    }

    /// The number.
    #[inline]
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name, if the task has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn shared_name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The place in the source code that has spawned the task.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

/// As `task 17 "ticker" (spawned at src/main.rs:20:9)`.
impl fmt::Display for TaskMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = self.name() {
            write!(f, " {name:?}")?;
        }
        write!(f, " (spawned at {})", self.location)
    }
}

impl fmt::Debug for TaskMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("TaskMeta");
        fields.field("id", &self.id);
        if let Some(name) = self.name() {
            fields.field("name", &name);
        }
        fields
            .field("location", &format_args!("{}", self.location))
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{collections::HashSet, thread};

    use super::{BLOCK, TaskId};

    #[test]
    fn numbers_of_several_threads_differ() {
        let take = || {
            (0..3 * BLOCK)
                .map(|_| TaskId::next())
                .collect::<Vec<TaskId>>()
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(take)).collect();
        let mut seen = HashSet::new();
        for thread in threads {
            let ids = thread.join().unwrap();
            assert!(ids.is_sorted());
            assert!(ids.into_iter().all(|id| seen.insert(id)));
        }
    }
}

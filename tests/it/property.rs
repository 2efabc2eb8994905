//! Properties: what must hold for every random input. An input for which it does not hold is made
//! smaller, and then shown.

use std::fmt::Debug;

use proptest::prelude::{Just, Strategy};
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::{Builder, Runtime};

/// How many smaller inputs are tried before the smallest so far is shown.
const SHRINKING: u32 = 2_000;

/// Checks properties of what runs on servers.
#[derive(Debug)]
pub(crate) struct Property {
    runtime: Runtime,
}

impl Property {
    pub(crate) fn new() -> Self {
        Self { runtime: Builder::new_current_thread().enable_all().build().unwrap() }
    }

    /// Starts what the cases share.
    pub(crate) fn start<T>(&self, starting: impl Future<Output = T>) -> T {
        self.runtime.block_on(starting)
    }

    /// Tries so many inputs, or as many as `PROPTEST_CASES` says.
    #[track_caller]
    pub(crate) fn check<I: Strategy>(
        &self,
        cases: u32,
        inputs: I,
        holds: impl AsyncFn(I::Value) -> Result<(), String>,
    ) {
        let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
        let config = Config {
            cases: asked.unwrap_or(cases),
            max_shrink_iters: SHRINKING,
            failure_persistence: None,
            ..Config::default()
        };
        let tried = TestRunner::new(config)
            .run(&inputs, |input| self.runtime.block_on(holds(input)).map_err(TestCaseError::fail));
        if let Err(failure) = tried {
            panic!("{failure}");
        }
    }
}

/// One of these. The earlier ones are the simpler ones.
pub(crate) fn one_of<T: Clone + Debug + 'static>(
    choices: &'static [T],
) -> impl Strategy<Value = T> + use<T> {
    proptest::arbitrary::any::<Index>().prop_map(|at| at.get(choices).clone())
}

/// Now and then: so many times in a hundred.
pub(crate) fn percent(chance: u32) -> impl Strategy<Value = bool> {
    proptest::prelude::prop_oneof![100 - chance => Just(false), chance => Just(true)]
}

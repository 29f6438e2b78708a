//! The description of the chosen backend.

use compio_driver::{Driver, op::Nop};

use crate::support::run;

#[test]
fn a_driver_describes_its_backend_and_the_reason() {
    let driver = Driver::new().unwrap();
    let backend = driver.backend();
    let text = format!("{}: {}", backend.kind(), backend.why());
    assert_eq!(backend.to_string(), text);
    assert!(!backend.why().is_empty());
}

#[test]
fn a_driver_with_few_entries_completes_more_operations() {
    let driver = Driver::with_entries(1).unwrap();
    for _ in 0..10 {
        let nops = [(); 10].map(|()| driver.submit(Nop::new()));
        for nop in nops {
            assert_eq!(run(&driver, nop).unwrap(), 0);
        }
    }
}

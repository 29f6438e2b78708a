//! The description of the chosen backend.

use compio_driver::Driver;

#[test]
fn a_driver_describes_its_backend_and_the_reason() {
    let driver = Driver::new().unwrap();
    let backend = driver.backend();
    let text = format!("{}: {}", backend.kind(), backend.why());
    assert_eq!(backend.to_string(), text);
    assert!(!backend.why().is_empty());
}

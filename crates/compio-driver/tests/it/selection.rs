//! What is said about the backend that was taken.

use compio_driver::Driver;

#[test]
fn a_driver_tells_its_kind_and_why() {
    let driver = Driver::new().unwrap();
    let backend = driver.backend();
    let text = format!("{}: {}", backend.kind(), backend.why());
    assert_eq!(backend.to_string(), text);
    assert!(!backend.why().is_empty());
}

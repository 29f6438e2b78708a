//! The argument `start_paused` of the attributes.

use compio::time::{now, pause, sleep};

use crate::support::HOUR;

async fn check_paused() {
    let begin = now();
    sleep(HOUR).await;
    assert_eq!(now() - begin, HOUR);
}

#[compio::test(start_paused)]
async fn test_with_the_name_alone_is_paused() {
    check_paused().await;
}

#[compio::test(start_paused = true, spin = "off")]
async fn test_with_the_value_true_is_paused() {
    check_paused().await;
}

const IS_PAUSED: bool = cfg!(feature = "test-util");

#[compio::test(spin = "off", start_paused = IS_PAUSED)]
async fn test_with_a_true_expression_is_paused() {
    check_paused().await;
}

#[compio::test(start_paused = false)]
async fn test_with_the_value_false_is_not_paused() {
    // It panics in paused time.
    pause();
    check_paused().await;
}

#[compio::main(start_paused)]
async fn program() -> u8 {
    check_paused().await;
    42
}

#[test]
fn main_can_be_paused() {
    assert_eq!(program(), 42);
}

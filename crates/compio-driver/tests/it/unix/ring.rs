//! What only a ring does: everything that was begun goes with one call of the kernel.

use compio_driver::op::{Nop, ReadAt};

use crate::{
    batching::enters,
    support::{share, uring},
};

#[test]
fn many_operations_go_with_one_enter() {
    let Some(builder) = uring() else { return };
    let driver = builder.build().unwrap();
    assert_eq!(enters(&driver, [Nop::new(); 200]), 1);
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    let fd = share(file);
    let reads = (0..200).map(|_| ReadAt::new(fd.clone(), 0, vec![0; 64]));
    assert_eq!(enters(&driver, reads), 1);
}

#[test]
fn more_than_the_queue_holds_go_with_as_few_as_can_be() {
    let Some(builder) = uring() else { return };
    let driver = builder.entries(64).build().unwrap();
    let count = enters(&driver, [Nop::new(); 640]);
    assert!((10..=13).contains(&count), "{count}");
}

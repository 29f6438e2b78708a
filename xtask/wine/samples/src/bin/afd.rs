//! To be rejected: the name of the sockets' driver, in the system's own encoding.

const AFD: [u16; 11] = {
    let text = br"\Device\Afd";
    let mut wide = [0; 11];
    let mut index = 0;
    while index < text.len() {
        wide[index] = text[index] as u16;
        index += 1;
    }
    wide
};

static NAME: [u16; 11] = AFD;

fn main() {
    println!("{}", std::hint::black_box(&NAME).len());
}

//! Measures the cost of argon2id alone: the program hashes a password and does nothing else. All
//! hashes use the same memory. Each input line gives a number of hashes; the program computes them
//! and then prints an empty line.

use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};

use argon2::{Argon2, Block};

fn main() {
    let argon2 = Argon2::default();
    let mut blocks = vec![Block::default(); argon2.params().block_count()];
    let mut output = [0; 32];
    for line in stdin().lock().lines() {
        for _ in 0..line.unwrap().parse().unwrap() {
            let salt = black_box([7; 16]);
            argon2
                .hash_password_into_with_memory(b"secret123", &salt, &mut output, &mut blocks)
                .unwrap();
            black_box(&output);
        }
        let mut out = stdout().lock();
        out.write_all(b"\n").unwrap();
        out.flush().unwrap();
    }
}

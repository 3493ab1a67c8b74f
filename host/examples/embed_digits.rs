//! Makes the embedded data set: `cargo run -p bitboltz --example embed_digits -- [FOLDER]`.
//!
//! The first 4,000 training and the first 1,000 test images of MNIST, white where a pixel is above 127, with their
//! labels, as gzip of idx. FOLDER is `host/data/digits` unless given. Needs MNIST: `bitboltz data get mnist`.

use std::error::Error;
use std::path::PathBuf;

use bitboltz::dataset::{self, Encoding, Split, idx};

fn main() -> Result<(), Box<dyn Error>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits");
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or(default.into()));
    let binary = Encoding::default();
    for (split, part, count) in [(Split::Train, "train", 4000), (Split::Test, "t10k", 1000)] {
        let digits = dataset::load("mnist", split)?.subset(0..count);
        let (width, height) = (digits.width, digits.height);
        let images = binary.decode(&binary.encode(&digits)?, width, height, 1)?;
        idx::write_images(&folder.join(format!("{part}-images-idx3-ubyte.gz")), &images)?;
        let labels = digits.labels.ok_or("MNIST without labels")?;
        idx::write_labels(&folder.join(format!("{part}-labels-idx1-ubyte.gz")), &labels)?;
    }
    Ok(())
}

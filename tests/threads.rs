//! Integer answers do not depend on how many threads give them.

use bitboltz::{
    bits::BitMatrix,
    dataset::mask::Mask,
    inpainting::{marginals, restore},
};
use bitboltz_core::{
    inpaint::Inpaint,
    posterior::PosteriorMean,
    rng::{Rng as _, stream},
};
use bitboltz_tests::models::machine;

#[test]
fn inpainting_is_the_same_with_one_thread_and_with_two() {
    const IMAGES: usize = 37;
    let tensors = machine::<i8>(&[70, 33, 5], 0.4, 1);
    let model = tensors.dbm().unwrap();
    let mut rng = stream(9, 0);
    let images =
        BitMatrix::from_rows(70, (0..IMAGES).map(|_| (0..70).map(|_| rng.next_u32() >> 31 == 1).collect::<Vec<_>>()));
    let hidden = BitMatrix::from_rows(70, (0..IMAGES).map(|i| Mask::Random(0.5).hidden(70, 1, 1, 1, i, 3).unwrap()));
    let (images, hidden) = (images.unwrap(), hidden.unwrap());
    let inpaint = Inpaint { restarts: 3, sweeps: 2, ..Inpaint::default() };
    let mean = PosteriorMean { restarts: 3, burn_in: 2, samples: 20, ..PosteriorMean::default() };
    let answers = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let restored = restore(&model, &images, &hidden, &inpaint, 5).unwrap();
            (restored, marginals(&model, &images, &hidden, &mean, 5).unwrap())
        })
    };
    let one = answers(1);
    assert_eq!(one, answers(2));
    assert_eq!(one, answers(3));
    assert!(one.0.distinct_rows() > IMAGES / 2, "the images differ, so that a mix-up would show");
}

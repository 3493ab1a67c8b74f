//! What a model and an estimator are worth, measured.
//!
//! - [`layout`]: where each parameter lies in a flat vector (the order of a checkpoint);
//! - [`exact`]: enumeration of small machines, the oracle of every test;
//! - [`statistics`]: the energy's derivatives, plain or with conditional means, and centering;
//! - [`replicates`]: an estimator over many independent runs;
//! - [`random`]: random machines and data vectors to try all this on;
//! - [`ais`]: log Z by annealed importance sampling, weighed by [`importance`];
//! - [`reverse`]: the same annealing backwards, from the other side;
//! - [`mean_field`]: a lower bound on log p*(v), exact with one hidden layer;
//! - [`likelihood`]: these together, on data;
//! - [`classification`]: the classes that label units tell;
//! - [`base_rate`]: the model that every likelihood is compared with;
//! - [`equilibrium`]: how far short runs are from a model's own distribution;
//! - [`real`], [`softplus`]: models in real numbers, and sums of log(1 + exp(a));
//! - [`judge`]: a generator's figures, beside those of real images and of noise;
//! - [`features`]: what a network sees in images;
//! - [`frechet`], [`neighbours`]: how far features of two sets are apart, and how well they cover each other;
//! - [`nearest`]: how far images are from being copies;
//! - [`restoration`]: hidden pixels filled in, beside two baselines;
//! - [`blocks`]: features of images for which there is no network;
//! - [`pixels`]: the generator that every other is compared with.

pub mod ais;
pub mod base_rate;
pub mod blocks;
pub mod classification;
pub mod equilibrium;
pub mod exact;
pub mod features;
pub mod frechet;
pub mod importance;
pub mod judge;
pub mod layout;
pub mod likelihood;
pub mod mean_field;
pub mod nearest;
pub mod neighbours;
pub mod pixels;
pub mod random;
pub mod real;
pub mod replicates;
pub mod restoration;
pub mod reverse;
pub mod softplus;
pub mod statistics;

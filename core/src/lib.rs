//! Deep Boltzmann machines without a heap: the sampler that a desktop trains with and a microcontroller runs.
//!
//! A deep Boltzmann machine is a stack of layers of binary units: the visible one holds the data, the hidden ones above
//! it explain them. Neighbouring layers are connected by weights, every unit has a bias, and a state x of all units has
//! the energy E(x) = − Σ_l b_l·x_l − Σ_l x_lᵀ W_l x_{l+1} and the probability p(x) ∝ exp(−E(x)). Training lowers the
//! energy of data; afterwards low states look like data, and known pixels can be completed by finding the others.
//! One hidden layer makes a restricted Boltzmann machine.
//!
//! # A first machine
//!
//! ```
//! use bitboltz_core::{
//!     connection::Dense, fixed::Scale, gibbs::Gibbs, inpaint::Inpaint, model::DenseDbm, rng::stream,
//!     search::LocalModeSearch, shape::Shape, state::{Clamp, State}, transition::Transition as _,
//! };
//!
//! // Four visible units, two hidden ones: one likes units 0 and 1, the other units 2 and 3, and they exclude each
//! // other only through the visible ones. A row of weights for each visible unit; a unit of integers is worth 1/16.
//! let scale = Scale::from_bits(0.0625f32.to_bits()).expect("between 2^-24 and 1");
//! let weights: [i8; 8] = [40, -40, 40, -40, -40, 40, -40, 40];
//! let connection = Dense::new(&weights, 4, 2, 0).expect("4 × 2 weights");
//! let model = DenseDbm::new([connection], &[&[0; 4], &[-20, -20]], scale)?;
//!
//! // The caller owns every buffer. The shape says how long they must be, also in constants.
//! const SHAPE: Shape = match Shape::new(&[4, 2]) {
//!     Ok(shape) => shape,
//!     Err(_) => panic!("widths out of range"),
//! };
//! let (mut words, mut fields, mut best) = ([0; SHAPE.words()], [0; SHAPE.units()], [0; SHAPE.words()]);
//! let mut state = State::new(&SHAPE, &mut words, &mut fields)?;
//!
//! // From random bits to a local mode, then ten sweeps of Gibbs sampling: all from one stream of random numbers.
//! let mut rng = stream(2026, 0);
//! model.randomise(&mut state, &Clamp::none(), &mut rng);
//! let report = LocalModeSearch::default().run(&model, &mut state, &Clamp::none())?;
//! assert!(report.sweeps <= 3);
//! for _ in 0..10 {
//!     Gibbs::default().step(&model, &mut state, &Clamp::none(), &mut rng);
//! }
//!
//! // Unit 0 is known to be on; the model fills in the rest.
//! state.layer_mut(0).set(0, true);
//! let known = [0b0001, 0];
//! let clamp = Clamp::new(&SHAPE, &known)?;
//! let report = Inpaint::default().restore(&model, &mut state, &mut best, &clamp, &mut rng)?;
//! assert_eq!(state.layer_words(0), [0b0011]);
//! assert_eq!(report.energy, -60);
//! assert_eq!(model.real_energy(&state), -3.75);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Who needs what
//!
//! - **To run a trained model on a device**: [`image::Image`] opens it where it lies in flash, [`session::Session`]
//!   answers requests for samples and completed pictures over any serial line. That is all a program needs.
//! - **To use a model in a program of your own**: [`model::DenseDbm`], [`state::State`] and [`state::Clamp`], then
//!   [`search`], [`gibbs`], [`inpaint`] or [`posterior`].
//! - **To train, or to estimate expectations**: a [`start::Start`], a [`transition::Transition`] and a
//!   [`coupling::Horizon`] make an unbiased estimator; any start goes with any transition.
//! - **To add a number type, a kind of connection, or a faster kernel**: [`weights::Weight`],
//!   [`connection::Connection`], [`kernels`].
//!
//! # Modules
//!
//! A module imports only from those above it.
//!
//! | module | holds |
//! |---|---|
//! | [`bits`], [`fixed`], [`rng`] | packed bits; fixed-point sigmoid and exponential; random streams |
//! | [`shape`], [`weights`] | layer widths and where layers lie in buffers; number types |
//! | [`kernels`] | fields moved by sets of flips: portable, word by word, DSP |
//! | [`connection`] | the weights between two layers |
//! | [`state`] | bits and fields of one chain, in the caller's buffers; the mask of clamped units |
//! | [`model`] | the machine: fields, energies |
//! | [`conditional`] | sample, mean and mode of half the layers given the others |
//! | [`transition`] | the trait of a Markov step, alone or coupled |
//! | [`search`], [`gibbs`], [`mh`], [`mixture`] | local mode search, block Gibbs, Metropolis-Hastings, either by a coin |
//! | [`start`] | the trait of a starting state: random, or a local mode |
//! | [`coupling`] | unbiased estimates from coupled chains |
//! | [`inpaint`] | completing what is known |
//! | [`posterior`] | how probable each unknown pixel is |
//! | [`image`] | the flash image, checked |
//! | [`session`] | requests and answers as bytes |
//!
//! # What to rely on
//!
//! - `no_std`, no heap, no recursion, no `unsafe` outside [`kernels`].
//! - With `i4`, `i8` and `i16` weights every step and every session works with integers alone, and gives the same bits on
//!   every machine. With `f32` weights fields and energies are floats, summed in a fixed order. Floats also appear in
//!   what is meant for people: [`conditional::mean_layer`], real energies, the weights that [`coupling`] shows.
//! - A step draws a number of random words that the shape alone decides ([`rng`]).
//! - Once an image was opened, no request can make a session panic. Functions that panic for a caller's mistake say so.
//!   A [`state::State`] handed to a model must have the model's shape.
//!
//! `DESIGN.md` beside this crate has the reasons, `FORMAT.md` the bytes.
//!
//! # Features
//!
//! - `float` (on): images with `f32` weights open. Without it they are refused with [`image::ImageError::Floats`], and a
//!   program links no arithmetic of floats.
//! - `defmt` (off): errors can be logged over defmt. Costs flash only where one is.
#![no_std]

pub mod bits;
pub mod conditional;
pub mod connection;
pub mod coupling;
pub mod fixed;
pub mod gibbs;
pub mod image;
pub mod inpaint;
pub mod kernels;
pub mod mh;
pub mod mixture;
pub mod model;
pub mod posterior;
pub mod rng;
pub mod search;
pub mod session;
pub mod shape;
pub mod start;
pub mod state;
pub mod transition;
pub mod weights;

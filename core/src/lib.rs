//! Deep Boltzmann machines without a heap.
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
pub mod model;
pub mod rng;
pub mod search;
pub mod session;
pub mod shape;
pub mod start;
pub mod state;
pub mod transition;
pub mod weights;

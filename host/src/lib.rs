//! Train deep Boltzmann machines on a desktop and export them for microcontrollers.
//!
//! Data flows one way: data set → [`train`] → checkpoint (`.safetensors`) → [`quantise`] → image (`.bbz`) → device → answer.
//! The machine itself, its chains and its sessions are those of [`bitboltz_core`]; this crate brings them files, floats,
//! threads and a command line.
//!
//! To read it, begin with [`train::trainer`] (one update) for how a model comes about, with [`estimator`] for what is
//! unbiased about it, and with [`model_file`] for how any command gets at a model. `cargo run --release -- demo` goes the
//! whole way; its source, `src/cli/demo.rs`, is also an example of the library in use.
//!
//! | module | what it is |
//! |---|---|
//! | **the way of a model** | |
//! | [`dataset`] | known data sets and files of many kinds: images, their bits, and masks over them |
//! | [`train`] | settings, updates, runs; [the module's own table](train) says more |
//! | [`estimator`] | gradient estimators: a start, a transition, and which H_{k:m} |
//! | [`tensors`] | the tensors of a model of any weight type, owned |
//! | [`parameters`] | weights and biases in floats, and how visible units make up a picture |
//! | [`checkpoint`] | parameters and the state of their run as safetensors |
//! | [`quantise`] | floats to integers with shifts and one scale |
//! | [`agreement`] | what rounding did to fields, energies and local modes, on data |
//! | [`image`] | images for a device's flash: written, and read with the alignment that they need |
//! | [`flash`] | images as files that flash programs take |
//! | [`boards`] | what fits which board |
//! | [`device`] | asks a board, or QEMU, over a serial line |
//! | **what a model does** | |
//! | [`model_file`] | a model from a checkpoint or an image, whatever its weights are |
//! | [`batch`] | many chains at once, at the machine's speed |
//! | [`chain`] | memory for the states of single chains |
//! | [`sampling`] | local modes and samples of many chains |
//! | [`inpainting`] | hidden units of many images restored, and two baselines |
//! | [`eval`] | what a model is worth (likelihood, distance, coverage, classes), and an estimator, against enumeration |
//! | [`mod@bench`] | how fast all this is here, beside what the machine can do |
//! | [`paper`] | the paper's experiments, each with a report, plots and results |
//! | **data and files** | |
//! | [`bits`] | many binary vectors, packed |
//! | [`matrix`] | transposes |
//! | [`power_law`] | least squares of logarithms |
//! | [`stages`] | who is told of long work |
//! | [`npy`] | arrays for NumPy |
//! | [`grid`] | pictures of many images, as PNG |
//! | [`atomic`] | files that appear whole or not at all |
//! | **the program** | |
//! | [`cli`] | arguments in, answers out |

pub mod agreement;
pub mod atomic;
pub mod batch;
pub mod bench;
pub mod bits;
pub mod boards;
pub mod chain;
pub mod checkpoint;
pub mod cli;
pub mod dataset;
pub mod device;
pub mod estimator;
pub mod eval;
pub mod flash;
pub mod grid;
pub mod image;
pub mod inpainting;
pub mod matrix;
pub mod model_file;
pub mod npy;
pub mod paper;
pub mod parameters;
pub mod power_law;
pub mod quantise;
mod random;
pub mod sampling;
pub mod stages;
pub mod tensors;
pub mod train;

//! The networks that the program carries.

/// A small classifier of black and white images of 28 × 28, trained by `host/features/train.py`. Its features are the 64
/// activations of the last hidden layer, neither centered nor normalised. It sees a pixel as on if its grey value is
/// above 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedded {
    /// Trained on MNIST.
    Mnist,
    /// Trained on Fashion-MNIST.
    Fashion,
}

/// What the networks take for on.
pub(super) const THRESHOLD: u8 = 127;

impl Embedded {
    /// The network of a known data set.
    #[must_use]
    pub fn of_data(name: &str) -> Option<Self> {
        match name {
            "digits" | "mnist" => Some(Self::Mnist),
            "fashion-mnist" => Some(Self::Fashion),
            _ => None,
        }
    }

    /// The network of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Mnist, Self::Fashion].into_iter().find(|network| network.name() == name)
    }

    /// `mnist` or `fashion`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Fashion => "fashion",
        }
    }

    pub(super) fn onnx(self) -> &'static [u8] {
        match self {
            Self::Mnist => include_bytes!("../../../features/mnist.onnx"),
            Self::Fashion => include_bytes!("../../../features/fashion.onnx"),
        }
    }
}

//! Round trips, files of other programs, and malformed files.

use super::*;
use crate::estimator::Estimator;

fn parameters() -> Parameters {
    let weights = vec![vec![1., 2., 3., 4., 5., 6., 7., 8.], vec![0.5, -0.25]];
    let geometry = Geometry { width: 2, height: 2, channels: 1, bits: 1 };
    Parameters::new(weights, vec![vec![0.1; 4], vec![-0.2; 2], vec![0.3]], geometry).unwrap()
}

fn training() -> TrainingState {
    TrainingState {
        config: TrainConfig { hidden: vec![2, 1], momentum: 0.0, ..TrainConfig::default() },
        data: Fingerprint { rows: 7, width: 4, crc: 99 },
        step: 12,
        seconds: 3.5,
        raw: None,
        velocity: None,
        offsets: vec![vec![0.5; 4], vec![0.25; 2], vec![0.75]],
        chains: None,
        stack: Vec::new(),
    }
}

/// A run with persistent chains: layers of 4, 2 and 1 units, a word each.
fn persistent() -> TrainingState {
    let mut state = training();
    (state.config.estimator, state.config.batch) = (Estimator::Pcd { k: 1 }, 2);
    let shape = Shape::new(&[4, 2, 1]).unwrap();
    state.chains = PersistentChains::from_words(&shape, vec![0b1010, 0b01, 1, 0b0111, 0b10, 0]);
    assert!(state.chains.is_some());
    state
}

/// A run whose model is an average, and with momentum.
fn averaged() -> TrainingState {
    let mut state = training();
    let mut raw = parameters();
    raw.tensors_mut().0[0][5] = -9.5;
    raw.tensors_mut().1[2][0] = 8.25;
    (state.config.average, state.raw) = (Some(0.1), Some(raw));
    let mut velocity = parameters();
    velocity.tensors_mut().0[1][1] = 0.75;
    (state.config.momentum, state.velocity) = (0.9, Some(velocity));
    state
}

/// A run that is being pretrained: two machines, the second with another state than the first.
fn stacked() -> TrainingState {
    let machine = |widths: [usize; 2], state: TrainingState| {
        let mut parameters = Parameters::zeros(&widths, Geometry::default()).unwrap();
        parameters.tensors_mut().0[0][1] = 0.5;
        let offsets = widths.iter().map(|&width| vec![0.25; width]).collect();
        let config = TrainConfig { hidden: vec![widths[1]], ..state.config };
        let state = TrainingState { config, offsets, velocity: state.velocity.map(|_| parameters.clone()), ..state };
        Checkpoint { parameters, training: Some(TrainingState { raw: None, ..state }) }
    };
    let mut moving = averaged();
    (moving.config.average, moving.step) = (None, 5);
    let mut state = averaged();
    (state.raw, state.velocity, state.offsets) = (None, None, Vec::new());
    TrainingState { stack: vec![machine([4, 2], training()), machine([2, 1], moving)], ..state }
}

/// A file of tensors as another program would write it.
fn file(tensors: &[(&str, Dtype, &[usize], &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, dtype, _, numbers)| match dtype {
            Dtype::F64 => numbers.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape, _), bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn open(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::from_bytes(bytes, Path::new("m.safetensors"))
}

#[test]
fn a_saved_checkpoint_loads_as_it_was_and_equal_ones_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    for training in [None, Some(training()), Some(persistent()), Some(averaged()), Some(stacked())] {
        let checkpoint = Checkpoint { parameters: parameters(), training };
        checkpoint.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded, checkpoint);
        assert_eq!(loaded.to_bytes(&path).unwrap(), std::fs::read(&path).unwrap());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn tensors_are_transposed_and_named_as_in_pytorch() {
    let bytes = Checkpoint { parameters: parameters(), training: None }.to_bytes(Path::new("m")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weight = file.tensor("weight.0").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (Dtype::F32, &[2, 4][..]));
    let numbers: Vec<f32> = weight.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    // Column 0 of the core's 4 × 2 matrix first.
    assert_eq!(numbers, [1., 3., 5., 7., 2., 4., 6., 8.]);
    assert_eq!(file.names().len(), 5);
}

#[test]
fn files_without_metadata_open_with_a_guessed_picture() {
    let (square, other) = (vec![0.5; 4 * 2], vec![0.5; 5 * 2]);
    let bias = [0.0; 5];
    let bytes = file(&[
        ("weight.0", Dtype::F32, &[2, 4], &square),
        ("bias.0", Dtype::F32, &[4], &bias[..4]),
        ("bias.1", Dtype::F32, &[2], &bias[..2]),
        ("optimiser.momentum", Dtype::F64, &[1], &bias[..1]),
    ]);
    let opened = open(&bytes).unwrap();
    assert_eq!(opened.parameters.geometry(), Geometry { width: 2, height: 2, channels: 1, bits: 1 });
    assert_eq!(opened.training, None);
    let bytes = file(&[
        ("weight.0", Dtype::F32, &[2, 5], &other),
        ("bias.0", Dtype::F32, &[5], &bias),
        ("bias.1", Dtype::F32, &[2], &bias[..2]),
    ]);
    assert_eq!(open(&bytes).unwrap().parameters.geometry(), Geometry::default());
}

#[test]
fn malformed_tensors_are_named_with_what_was_expected_and_found() {
    type Tensor<'a> = (&'a str, Dtype, &'a [usize], &'a [f32]);
    let numbers = [0.0; 8];
    let good: [Tensor<'_>; 3] = [
        ("weight.0", Dtype::F32, &[2, 4], &numbers),
        ("bias.0", Dtype::F32, &[4], &numbers[..4]),
        ("bias.1", Dtype::F32, &[2], &numbers[..2]),
    ];
    let with = |at: usize, tensor: Tensor<'_>| {
        let mut tensors = good;
        tensors[at] = tensor;
        open(&file(&tensors)).unwrap_err().to_string()
    };
    open(&file(&good)).unwrap();
    for (message, expected) in [
        (open(&file(&good[1..])).unwrap_err().to_string(), "m.safetensors: tensor weight.0: expected, not found"),
        (open(&file(&good[..2])).unwrap_err().to_string(), "m.safetensors: tensor bias.1: expected, not found"),
        (open(&file(&[])).unwrap_err().to_string(), "m.safetensors: tensor bias.0: expected, not found"),
        (
            with(0, ("weight.0", Dtype::F32, &[4, 2], &numbers)),
            "m.safetensors: tensor weight.0: expected shape [2, 4], found [4, 2]",
        ),
        (
            with(1, ("bias.0", Dtype::F32, &[2, 2], &numbers[..4])),
            "m.safetensors: tensor bias.0: expected shape [units], found [2, 2]",
        ),
        (
            with(2, ("bias.1", Dtype::F64, &[2], &numbers[..2])),
            "m.safetensors: tensor bias.1: expected type F32, found F64",
        ),
        (
            with(2, ("bias.1", Dtype::F32, &[2], &[0.0, f32::NAN])),
            "m.safetensors: tensor bias.1: expected finite numbers, found one that is not",
        ),
        (with(2, ("bias.9", Dtype::F32, &[2], &numbers[..2])), "m.safetensors: expected 2 to 8 layers, found 10"),
        (with(2, ("bias.1", Dtype::F32, &[0], &[])), "m.safetensors: layer 1: expected 1 to 65536 units, found 0"),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn damaged_files_are_refused() {
    let path = Path::new("m.safetensors");
    let checkpoint = Checkpoint { parameters: parameters(), training: Some(training()) };
    let bytes = checkpoint.to_bytes(path).unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(open(&bytes[..length]), Err(CheckpointError::NotSafetensors { .. })), "{length}");
    }
    let error = open(b"PK\x03\x04 a zip file, not safetensors").unwrap_err();
    assert!(error.to_string().starts_with("m.safetensors: not a safetensors file"), "{error}");
    // A record that is not ours.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("geometry"));
    let at = text.find("geometry").unwrap();
    let mut other = bytes.clone();
    other[at] = b'x';
    assert!(matches!(open(&other), Err(CheckpointError::Metadata { .. })));
    // A record of another version, or of none.
    let version = r#"\"version\":4"#;
    for (text, found) in [(r#"\"version\":5"#, "5"), (r#"\"vErsion\":4"#, "none")] {
        let at = bytes.windows(version.len()).position(|window| window == version.as_bytes()).unwrap();
        let mut other = bytes.clone();
        other[at..at + text.len()].copy_from_slice(text.as_bytes());
        let error = open(&other).unwrap_err().to_string();
        assert_eq!(error, format!("m.safetensors: metadata `bitboltz`: expected version 4, found {found}"));
    }
    let missing = Checkpoint::load(Path::new("/no/such/file")).unwrap_err();
    assert!(matches!(&missing, CheckpointError::Io { .. }) && missing.to_string().starts_with("/no/such/file: "));
}

#[test]
fn persistent_chains_are_stored_as_words_and_checked() {
    let path = Path::new("m.safetensors");
    let bytes = |state| Checkpoint { parameters: parameters(), training: Some(state) }.to_bytes(path).unwrap();
    let good = bytes(persistent());
    let file = SafeTensors::deserialize(&good).unwrap();
    let chains = file.tensor("chains").unwrap();
    assert_eq!((chains.dtype(), chains.shape()), (Dtype::U32, &[2, 3][..]));
    assert_eq!(chains.data()[..12], [0b1010, 0, 0, 0, 0b01, 0, 0, 0, 1, 0, 0, 0]);

    let refused = |change: fn(&mut TrainingState)| {
        let mut state = persistent();
        change(&mut state);
        open(&bytes(state)).unwrap_err().to_string()
    };
    assert_eq!(refused(|state| state.chains = None), "m.safetensors: tensor chains: expected, not found");
    let shape = "m.safetensors: tensor chains: expected shape [3, 3], found [2, 3]";
    assert_eq!(refused(|state| state.config.batch = 3), shape);
    // A bit that is no unit of the highest layer.
    let offset = chains.data().as_ptr() as usize - good.as_ptr() as usize;
    let mut padded = good.clone();
    padded[offset + 8] = 2;
    let error = open(&padded).unwrap_err().to_string();
    assert_eq!(error, "m.safetensors: tensor chains: expected states of the model, found bits of no unit");
}

#[test]
fn the_tensors_of_a_stack_are_named_after_its_machines() {
    let path = Path::new("m.safetensors");
    let checkpoint = Checkpoint { parameters: parameters(), training: Some(stacked()) };
    let bytes = checkpoint.to_bytes(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("machine.0.weight.0").unwrap().shape(), [2, 4]);
    assert_eq!(file.tensor("machine.1.velocity.weight.0").unwrap().shape(), [1, 2]);
    assert!(file.tensor("machine.0.velocity.weight.0").is_err() && file.tensor("offset.0").is_err());
    let mut without = checkpoint;
    without.training.as_mut().unwrap().stack[1].training.as_mut().unwrap().offsets.clear();
    let error = open(&without.to_bytes(path).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "m.safetensors: tensor machine.1.offset.0: expected, not found");
}

#[test]
fn numbers_that_are_not_finite_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let mut checkpoint = Checkpoint { parameters: parameters(), training: None };
    checkpoint.save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    checkpoint.parameters.tensors_mut().1[1][0] = f32::INFINITY;
    let error = checkpoint.save(&path).unwrap_err();
    assert!(matches!(&error, CheckpointError::NotFinite { tensor, .. } if tensor == "bias.1"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn the_parameters_that_learn_are_kept_beside_their_average() {
    let path = Path::new("m.safetensors");
    let checkpoint = Checkpoint { parameters: parameters(), training: Some(averaged()) };
    assert_eq!(checkpoint.learning().weights()[0][5], -9.5);
    let bytes = checkpoint.to_bytes(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let raw = file.tensor("raw.weight.0").unwrap();
    assert_eq!((raw.dtype(), raw.shape()), (Dtype::F32, &[2, 4][..]));
    let [model, raw] =
        [file.tensor("weight.0").unwrap(), raw].map(|view| f32::from_le_bytes(view.data()[24..28].try_into().unwrap()));
    assert_eq!((model, raw), (6.0, -9.5));
    let mut without = averaged();
    without.raw = None;
    let bytes = Checkpoint { parameters: parameters(), training: Some(without) }.to_bytes(path).unwrap();
    let error = open(&bytes).unwrap_err().to_string();
    assert_eq!(error, "m.safetensors: tensor raw.weight.0: expected, not found");
}

/// Files of version 1 lack the settings that came with version 2, and go on as they would have.
#[test]
fn files_of_version_1_open_with_the_later_settings_off() {
    const LATER: [&str; 8] = [
        "average",
        "schedule",
        "momentum",
        "weight_decay",
        "centering_offsets",
        "clamped_estimator",
        "pretrain",
        "threshold",
    ];
    // A checkpoint as a file of version 1, with its record changed.
    let old = |checkpoint: &Checkpoint, change: &dyn Fn(&mut Value)| {
        let bytes = checkpoint.to_bytes(Path::new("m.safetensors")).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut record: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()[METADATA_KEY]).unwrap();
        record["version"] = 1.into();
        change(&mut record);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), record.to_string())]);
        safetensors::serialize(file.tensors(), Some(metadata)).unwrap()
    };
    let trained = Checkpoint { parameters: parameters(), training: Some(training()) };
    let without_later = |record: &mut Value| {
        let config = record["training"]["config"].as_object_mut().unwrap();
        LATER.iter().for_each(|field| assert!(config.remove(*field).is_some(), "{field}"));
    };
    assert_eq!(open(&old(&trained, &without_later)).unwrap(), trained);
    // Version 2 knew no stack of a run that is being pretrained.
    let without_stack = |record: &mut Value| {
        record["version"] = 2.into();
        assert!(record["training"].as_object_mut().unwrap().remove("stack").is_some());
    };
    assert_eq!(open(&old(&trained, &without_stack)).unwrap(), trained);
    // Version 3 knew one, and no threshold, also not of the stack's machines.
    let mut stacked = training();
    stacked.stack = vec![Checkpoint { parameters: parameters(), training: Some(training()) }];
    let stacked = Checkpoint { parameters: parameters(), training: Some(stacked) };
    let stacked = open(&stacked.to_bytes(Path::new("m.safetensors")).unwrap()).unwrap();
    let without_threshold = |record: &mut Value| {
        record["version"] = 3.into();
        for training in ["/training", "/training/stack/0"] {
            let config = record.pointer_mut(&format!("{training}/config")).unwrap().as_object_mut().unwrap();
            assert!(config.remove("threshold").is_some(), "{training}");
        }
    };
    assert_eq!(open(&old(&stacked, &without_threshold)).unwrap(), stacked);
    // A model without a run has no settings.
    let model = Checkpoint { parameters: parameters(), training: None };
    assert_eq!(open(&old(&model, &|_| ())).unwrap(), model);
    // Records that are none of any version.
    let changes: [&dyn Fn(&mut Value); 4] = [
        &|record| record["training"] = 5.into(),
        &|record| record["training"] = Value::Array(Vec::new()),
        &|record| record["training"]["config"] = "none".into(),
        &|record| drop(record.as_object_mut().unwrap().remove("training")),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let error = open(&old(&trained, change)).unwrap_err();
        assert!(matches!(error, CheckpointError::Metadata { .. }), "{at}: {error}");
    }
}

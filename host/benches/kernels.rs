//! Criterion's view of the engine's inner loops: the cases of `bitboltz bench kernels`, on every instruction set of this
//! machine. `cargo bench -p bitboltz --bench kernels -- add_rows` runs those of one kernel.

use bitboltz::{batch::kernels::Isa, bench::kernels::cases};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn kernels(criterion: &mut Criterion) {
    for mut case in cases(1) {
        let expected = case.answer(Isa::PORTABLE);
        let mut group = criterion.benchmark_group(case.to_string());
        group.throughput(Throughput::Elements(case.units as u64));
        for &isa in Isa::available() {
            assert!(case.answer(isa) == expected, "{case}: {} differs from portable", isa.name());
            group.bench_function(BenchmarkId::from_parameter(isa.name()), |bencher| bencher.iter(|| case.run(isa)));
        }
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);

//! Block Gibbs with ferrotherm: reads a graph, takes sweeps, prints the seconds.
//!
//! `compare-ferrotherm GRAPH THREADS SWEEPS`. The graph is a file of little-endian numbers: the count of layers and
//! their widths (u32), then couplings J (f32, a row for each unit of the lower layer, connection after connection) and
//! fields h (f32, layer after layer), over spins ±1 at β = 1. Each thread runs one chain: the crate splits a sweep over
//! threads only where a colour has at least 1,024 nodes for each of them.

use std::{env, error::Error, fs, thread, time::Instant};

use ferrotherm::{gibbs::Sampler, graph::GraphBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().collect();
    let [_, graph, threads, sweeps] = &args[..] else {
        return Err("expected GRAPH THREADS SWEEPS".into());
    };
    let (threads, sweeps): (u64, usize) = (threads.parse()?, sweeps.parse()?);
    let bytes = fs::read(graph)?;
    let mut numbers = bytes.chunks_exact(4).map(|four| [four[0], four[1], four[2], four[3]]);
    let mut next = || numbers.next().ok_or("the graph's file is too short");
    let layers = u32::from_le_bytes(next()?) as usize;
    let widths = (0..layers).map(|_| Ok(u32::from_le_bytes(next()?) as usize)).collect::<Result<Vec<_>, &str>>()?;
    let mut number = || next().map(|four| f64::from(f32::from_le_bytes(four)));

    let units = widths.iter().sum();
    let mut builder = GraphBuilder::new(units);
    let mut first = 0;
    for pair in widths.windows(2) {
        for i in 0..pair[0] {
            for j in 0..pair[1] {
                builder.couple(first + i, first + pair[0] + j, number()?);
            }
        }
        first += pair[0];
    }
    for unit in 0..units {
        builder.bias(unit, number()?);
    }
    let graph = builder.build();
    if graph.classes.len() != 2 {
        return Err(format!("expected two colours, found {}", graph.classes.len()).into());
    }

    let mut chains: Vec<Sampler<'_>> = (0..threads).map(|seed| Sampler::new(&graph, 1.0, seed)).collect();
    chains.iter_mut().for_each(|chain| chain.sweep(None));
    let begin = Instant::now();
    thread::scope(|scope| {
        for chain in &mut chains {
            scope.spawn(move || chain.sweeps(sweeps, None));
        }
    });
    println!("{}", begin.elapsed().as_secs_f64());
    Ok(())
}

//! Both orientations of a matrix, 64 × 64 numbers at a time.
//!
//! What is computed for a block of 64 rows and the 64 columns of a tile goes to its place in one orientation, and its
//! transpose to its place in the other, while it is in the cache.

use rayon::prelude::*;

use super::{
    kernels::{self, Isa, Lane},
    tile::{TILE, Tiles},
};

/// For each 64 rows of a matrix, these rows of every tile: tasks that share nothing.
pub fn row_groups<W: bytemuck::Pod + Send + Sync>(matrix: &mut Tiles<W>) -> Vec<Vec<&mut [[W; TILE]]>> {
    let tiles = matrix.columns().div_ceil(TILE);
    let mut groups: Vec<Vec<_>> = Vec::new();
    groups.resize_with(matrix.rows().div_ceil(TILE), || Vec::with_capacity(tiles));
    for tile in matrix.each_tile_mut() {
        tile.chunks_mut(TILE).zip(&mut groups).for_each(|(rows, group)| group.push(rows));
    }
    groups
}

/// Writes what `number` makes of each number of a matrix into both orientations of another.
///
/// # Panics
/// If the sizes do not fit.
pub fn map_both<A, B>(
    matrix: &Tiles<A>,
    same: &mut Tiles<B>,
    transposed: &mut Tiles<B>,
    number: impl Fn(A) -> B + Copy + Sync,
) where
    A: bytemuck::Pod + Send + Sync,
    B: bytemuck::Pod + Lane + Send + Sync,
{
    let (rows, columns) = (matrix.rows(), matrix.columns());
    assert_eq!((same.rows(), same.columns(), transposed.rows(), transposed.columns()), (rows, columns, columns, rows));
    let isa = Isa::best();
    let groups: Vec<_> = row_groups(same).into_iter().zip(transposed.each_tile_mut()).collect();
    groups.into_par_iter().with_max_len(1).enumerate().for_each(|(group, (blocks, mirror))| {
        for ((block, from), mirror) in blocks.into_iter().zip(matrix.tiles()).zip(mirror.chunks_mut(TILE)) {
            kernels::map(isa, &from[group * TILE..][..block.len()], block, number);
            kernels::transpose(isa, block, mirror);
        }
    });
}

/// A matrix row by row.
pub fn to_rows<W: bytemuck::Pod + Send + Sync>(matrix: &Tiles<W>) -> Vec<W> {
    let columns = matrix.columns();
    let mut rows = vec![W::zeroed(); matrix.rows() * columns];
    rows.par_chunks_mut(columns).with_min_len(64).enumerate().for_each(|(i, row)| {
        row.chunks_mut(TILE).zip(matrix.tiles()).for_each(|(row, tile)| row.copy_from_slice(&tile[i][..row.len()]));
    });
    rows
}

/// The transpose of a matrix row by row.
pub fn to_columns<W: bytemuck::Pod + Send + Sync>(matrix: &Tiles<W>) -> Vec<W> {
    let height = matrix.rows();
    let mut columns = vec![W::zeroed(); matrix.columns() * height];
    columns.par_chunks_mut(TILE * height).zip(matrix.tiles().collect::<Vec<_>>()).for_each(|(columns, tile)| {
        // Sixteen rows of the tile at a time: whole cache lines of what is written.
        for (part, rows) in tile.chunks(16).enumerate() {
            for (j, column) in columns.chunks_exact_mut(height).enumerate() {
                let column = &mut column[part * 16..][..rows.len()];
                column.iter_mut().zip(rows).for_each(|(number, row)| *number = row[j]);
            }
        }
    });
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orientations_and_back() {
        for (rows, columns) in [(1, 1), (64, 128), (70, 3), (130, 65)] {
            let numbers: Vec<i32> = (0..rows * columns).collect();
            let (rows, columns) = (rows as usize, columns as usize);
            let mut matrix = Tiles::zeros(rows, columns);
            matrix.copy_from(&numbers);
            assert_eq!(to_rows(&matrix), numbers);
            let (mut same, mut transposed) = (Tiles::zeros(rows, columns), Tiles::zeros(columns, rows));
            map_both(&matrix, &mut same, &mut transposed, |x| 2 * x);
            let twice: Vec<i32> = numbers.iter().map(|x| 2 * x).collect();
            let mut expected = Tiles::zeros(columns, rows);
            expected.copy_transposed(&twice);
            // Padding included.
            assert_eq!((to_rows(&same), &transposed), (twice.clone(), &expected));
            assert_eq!(to_columns(&transposed), twice);
        }
    }
}

//! What the exporter believes of a board is what the board's folder says.

use bitboltz::boards::BOARDS;
use xtask::board::{self, Board};

#[test]
fn the_exporter_knows_the_boards_as_they_are() {
    let names: Vec<String> = board::names().unwrap();
    assert!(names.iter().eq(BOARDS.iter().map(|board| board.name)), "{names:?}");
    for known in BOARDS {
        let memory = Board::load(known.name).unwrap().memory().unwrap();
        let told = (known.address, known.flash, known.ram);
        assert_eq!(told, (memory.weights.address, memory.weights.length, memory.arena.length), "{}", known.name);
    }
}

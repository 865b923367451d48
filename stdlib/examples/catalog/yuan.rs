//! The price list of China, which is in yuan: `catalog/cny.tsv`, written by hand.
//!
//! Nothing is repaired here, for its rows are of shared tenancy. What comes out is in dollars by a constant
//! rate, and for that alone it is called estimated.

use std::collections::BTreeMap;

use crate::MakeError;
use crate::decimal::nano;
use crate::facts;

const LIST: &str = include_str!("../../catalog/cny.tsv");

/// Nano-dollars an hour by type, on demand with Linux in [`facts::IN_YUAN`]. A row of a type that `types`
/// has not is refused.
pub fn prices<T>(types: &BTreeMap<String, T>) -> Result<BTreeMap<String, i128>, MakeError> {
    let odd = |row: &str| MakeError::Package("cny.tsv".to_owned(), format!("odd row {row:?}"));
    let rows = LIST.lines().filter(|row| !row.starts_with('#')).skip(1);
    rows.map(|row| {
        let (name, yuan) = row.split_once('\t').ok_or_else(|| odd(row))?;
        let yuan = nano(yuan).filter(|yuan| *yuan > 0 && types.contains_key(name));
        let yuan = yuan.ok_or_else(|| odd(row))?;
        Ok((name.to_owned(), dollars(i128::from(yuan))))
    })
    .collect()
}

/// Nano-yuan as nano-dollars, rounded up.
fn dollars(yuan: i128) -> i128 {
    (yuan * facts::CENTS_PER_YUAN + 99) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuan_become_dollars_rounded_up() {
        assert_eq!(dollars(1_013_210_000), 151_981_500);
        assert_eq!(dollars(1), 1);
        assert_eq!(dollars(100), 15);
        assert_eq!(dollars(101), 16);
    }

    #[test]
    fn the_list_is_of_known_types() {
        let types = BTreeMap::from([("t3.medium".to_owned(), ())]);
        assert!(prices(&types).is_err());
    }
}

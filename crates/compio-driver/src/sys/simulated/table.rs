//! A table of objects with numbers.

use std::ops::Index;

/// Objects by number. The number has the object's place in a vector, so that nothing is searched, and the generation of the place:
/// no other object ever has it. No number is 0.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    object: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    /// Adds an object. Returns its number.
    pub(super) fn insert(&mut self, object: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 1,
                object: None,
            });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        place.object = Some(object);
        u64::from(place.generation) << 32 | u64::from(index)
    }

    pub(super) fn get(&self, number: u64) -> Option<&T> {
        let place = self.places.get(number as u32 as usize)?;
        let object = place.object.as_ref();
        object.filter(|_| place.generation == (number >> 32) as u32)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.places.get_mut(number as u32 as usize)?;
        let object = place.object.as_mut();
        object.filter(|_| place.generation == (number >> 32) as u32)
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| place.object.as_ref())
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        self.get(number)?;
        let place = &mut self.places[number as u32 as usize];
        // A place without further numbers stays empty.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(number as u32);
        }
        place.object.take()
    }
}

impl<T> Index<u64> for Table<T> {
    type Output = T;

    /// # Panics
    ///
    /// If there is no object with the number.
    fn index(&self, number: u64) -> &T {
        self.get(number).expect("an object of the table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_removed_object_finds_no_later_one() {
        let mut table = Table::default();
        let [first, second] = ["a", "b"].map(|object| table.insert(object));
        assert_ne!(first, 0);
        assert_eq!(table.remove(first), Some("a"));
        assert_eq!(table.remove(first), None);
        let third = table.insert("c");
        assert_eq!(table.places.len(), 2);
        assert_eq!(table.get(first), None);
        assert_eq!((table[second], table[third]), ("b", "c"));
    }

    #[test]
    fn place_without_further_numbers_stays_empty() {
        let mut table = Table::default();
        table.insert(0);
        table.places[0].generation = u32::MAX;
        assert_eq!(table.remove(u64::from(u32::MAX) << 32), Some(0));
        assert_eq!(table.insert(1) as u32, 1);
    }
}

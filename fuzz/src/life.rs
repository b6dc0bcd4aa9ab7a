use whisperr_simulation::{Choices, MediumKind};

/// A whole life of a client, the choices of which are the input: faults first, every invariant
/// checked after every step, then health. The first byte says on which medium.
///
/// # Panics
/// When a promise is broken.
pub fn life(data: &[u8]) {
    let Some((medium, choices)) = data.split_first() else { return };
    let Some(medium) = MediumKind::ALL.iter().cycle().nth(usize::from(*medium)) else { return };
    let life = medium.live(&Choices::bytes(choices));
    if let Some(violation) = life.violation {
        panic!("{}: {violation}\n{}", medium.name(), life.trace.join("\n"));
    }
}

//! Every life that once broke a promise, shrunk, is lived again.

use std::fs;
use std::path::Path;

use whisperr_simulation::{Choices, MediumKind, parse_choices};

#[test]
fn what_was_broken_once_stays_whole() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are none");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let choices = parse_choices(&fs::read_to_string(&file).unwrap()).unwrap();
        let medium = name.split_once('-').unwrap().0;
        if medium == "flash" && !cfg!(feature = "flash") {
            // Left out of this build, which measures how much of the core and the queue file is tested.
            continue;
        }
        let medium = MediumKind::parse(medium).unwrap();
        let life = medium.live(&Choices::recorded(&choices));
        assert_eq!(life.violation, None, "{name}: {:#?}", life.trace);
    }
}

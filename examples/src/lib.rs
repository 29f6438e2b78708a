//! Holds no code: the programs are the files beside this folder.

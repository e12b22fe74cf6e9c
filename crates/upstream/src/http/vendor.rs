//! Decides what each vendor is like; never talks to one.

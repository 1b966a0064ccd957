//! The field reference, generated from the schema.

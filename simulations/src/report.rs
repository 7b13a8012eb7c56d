//! Outcomes for people and programs: a table, JSON, a page.

pub mod html;
mod plot;
pub mod table;

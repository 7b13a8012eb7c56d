//! Agents to read and to run: each example is one or more small programs in `src/bin`.
//!
//! | example | programs | what it shows |
//! |---|---|---|
//! | hello | `hello-world`, `hello-date` | a tool with an optional dependency, and who provides it |
//! | tags | `tags-providers`, `tags-asker` | choosing between providers by tags |
//! | session | `session-cart`, `session-shop` | calls under one key stay with one replica |
//! | stream | `stream-teller`, `stream-reader` | results that come piece by piece |
//! | route | `route-api` | an HTTP API in front of the mesh |
//! | failover | `failover-worker`, `failover-boss` | replicas, one of which may be killed |
//! | monolith | `monolith` | the agents of hello in one process |
//! | dev team | `dev-team` | models that write and try scripts, which run where they can do no harm |
//! | finance | `finance` | six agents, one of which has a model ask the others |

pub mod dev_team;
pub mod finance;
pub mod hello;
pub mod team;
